"""The small experiment of the trainer's tests."""

from tests.trainers.conftest import experiment, scenes_root

__all__ = ["experiment", "scenes_root"]

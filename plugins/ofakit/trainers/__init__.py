"""The training loop, which connects task, model, data, objectives and hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.trainers.trainer import Trainer

__all__ = ["Trainer"]

__getattr__ = exports(__name__, {"ofakit.trainers.trainer": ["Trainer"]})

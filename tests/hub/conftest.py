"""The tiny model of the objectives' tests."""

from tests.objectives.conftest import bundle

__all__ = ["bundle"]

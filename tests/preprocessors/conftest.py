"""The tiny model of the objectives' tests, and their examples."""

from tests.objectives.conftest import bundle, examples

__all__ = ["bundle", "examples"]

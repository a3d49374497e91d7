"""The tiny model of the objectives' tests, and their examples."""

from tests.objectives.conftest import batch, bundle, examples

__all__ = ["batch", "bundle", "examples"]

"""Kinds of models, one file each: what `model.type` in a configuration names.

from ofakit.models.types import MODELS
model, tokenizer = MODELS.build({"type": "ofa"}).load("work_dir/run/output")

A member is an `ofakit.models.model_type.ModelType`.
"""

from __future__ import annotations

from collections.abc import Collection

from ofakit.errors import UsageError
from ofakit.registry import Registry

__all__ = ["MODELS", "recognised"]

MODELS = Registry("model", __name__)


def recognised(names: Collection[str]) -> str:
    """The type whose weights have such names.

    Args:
        names: Those of all tensors of a checkpoint.

    Raises:
        UsageError: No type recognises them.
    """
    found = next((kind for kind in MODELS.names() if MODELS.build({"type": kind}).recognises(names)), None)
    if found is None:
        some = ", ".join(sorted(names)[:4])
        raise UsageError(f"these are not the weights of a model known here ({', '.join(MODELS.names())}): {some}, …")
    return found

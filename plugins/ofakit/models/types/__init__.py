"""Kinds of models, one file each: what `model.type` in a configuration names.

from ofakit.models.types import MODELS
model, tokenizer = MODELS.build({"type": "ofa"}).load("work_dir/run/output")

A member is an `ofakit.models.model_type.ModelType`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofakit.registry import Registry

    MODELS: Registry

__all__ = ["MODELS"]


def __getattr__(name: str) -> Any:
    if name != "MODELS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ofakit.registry import Registry

    globals()[name] = Registry("model", __name__)
    return globals()[name]

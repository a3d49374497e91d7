"""Kinds of models, one file each: what `model.type` in a configuration names.

from ofakit.models.types import MODELS
model, tokenizer = MODELS.build({"type": "ofa"}).load("work_dir/run/output")

A member is an `ofakit.models.model_type.ModelType`.
"""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["MODELS"]

MODELS = Registry("model", __name__)

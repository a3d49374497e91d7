"""The loop: wires model, data, objectives and hooks."""

from __future__ import annotations

from ofakit.lazy import exports

__all__ = ["CaptionTrainer"]

__getattr__ = exports(__name__, {"ofakit.trainers.caption_trainer": ["CaptionTrainer"]})

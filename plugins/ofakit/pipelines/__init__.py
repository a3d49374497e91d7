"""Inference: `Captioner` for any program, and ModelScope's `pipeline("image-captioning", model=…)`."""

from __future__ import annotations

from ofakit.lazy import exports

__all__ = ["CaptionResult", "Captioner"]

__getattr__ = exports(__name__, {"ofakit.inference.captioner": ["CaptionResult", "Captioner"]})

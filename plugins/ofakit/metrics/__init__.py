"""Thin adapters from `ofakit.scores` to ModelScope's METRICS; a file here is a `type` in `evaluation.metrics`."""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["METRICS"]

METRICS = Registry("metric", __name__)
"""Metrics by their file's name, beside those of ModelScope's registry of the same name."""

"""Kinds of adapters, one file each: what `model.adapter` in a configuration names."""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["ADAPTERS"]

HELPERS = ("adding", "kinds", "linear", "merging", "saving", "sites", "stock", "tasks")
"""Files of the package that are no kinds."""

ADAPTERS = Registry("adapter", "ofakit.models.adapters", besides=HELPERS)

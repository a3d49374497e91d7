"""Model directories: what a pipeline loads, and what the stock code can load."""

from __future__ import annotations

from ofakit.lazy import exports

__all__ = ["ModelBundle", "export_plain", "load_bundle", "resolve_model", "save_bundle"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.hub.bundle": ["ModelBundle", "load_bundle", "resolve_model", "save_bundle"],
        "ofakit.hub.plain": ["export_plain"],
    },
)

"""Indexes of a base: what finds the nearest passages."""

from __future__ import annotations

__all__: list[str] = []

"""Passages, indexes, searchers, runs, fusion and mining: from a trained encoder to a ranking.

from ofakit.retrieval import load_index
scores, ids = load_index("work_dir/base.index").search(vectors, k=100)
"""

from __future__ import annotations

from ofakit.lazy import exports

__all__: list[str] = []

__getattr__ = exports(__name__, {})

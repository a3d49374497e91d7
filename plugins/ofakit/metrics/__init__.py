"""Thin adapters from `ofakit.scores` to ModelScope's METRICS; a file here is a `type` in `evaluation.metrics`."""

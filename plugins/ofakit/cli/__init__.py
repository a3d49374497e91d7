"""Command lines of the tools; `tools/*.py` are their doors."""

"""The kinds of adapters are found by file name, and what helps them is none."""

from __future__ import annotations

from ofakit.models.adapters import ADAPTERS
from ofakit.models.adapters.kinds import HELPERS


def test_kinds_are_files_and_helpers_are_none():
    names = ADAPTERS.names()
    assert {"bottleneck", "compacter", "hyperformer", "ia3", "lora", "low_rank", "prompt"} <= set(names)
    assert not set(names) & {*HELPERS, "base"}

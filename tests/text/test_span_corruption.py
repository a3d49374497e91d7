"""Masked spans of words are those of VL-T5, for the same permutation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.text.span_corruption import corrupt_spans, spelled

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "vl" / "text_corruption.json"


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden text corruption at {GOLDEN}")
def test_source_and_target_are_those_of_the_original_code():
    rows = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(rows) == 60
    for row in rows:
        source, target = corrupt_spans(row["text"].split(), row["randperm"], row["mask_ratio"])
        before = f"{row['prefix']} " if row["prefix"] else ""
        if row["kind"] == "bart":
            assert before + spelled(source, "<mask>") == row["source"]
            assert row["text"] == row["target"]
        else:
            assert (before + spelled(source), spelled(target)) == (row["source"], row["target"])


@pytest.mark.parametrize("ratio", [0.0, 0.15, 0.5, 1.0])
def test_source_and_target_make_up_the_text(ratio):
    words = ["the", "red", "bus", "stops", "near", "a", "tall", "brick", "building"]
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(words)).tolist()
        source, target = corrupt_spans(words, order, ratio)
        spans = {}
        for piece in target:
            if isinstance(piece, int):
                spans[piece] = []
            else:
                spans[len(spans) - 1].append(piece)
        whole = [word for piece in source for word in (spans[piece] if isinstance(piece, int) else [piece])]
        assert whole == words and list(spans) == [piece for piece in source if isinstance(piece, int)]
        assert sum(map(len, spans.values())) == int(max(ratio * len(words), 1))
        neighbours = zip(source, source[1:], strict=False)
        assert not any(isinstance(one, int) and isinstance(other, int) for one, other in neighbours)


def test_of_too_many_spans_the_words_stay():
    words = list("abcdefg")
    source, target = corrupt_spans(words, [0, 2, 4, 6, 1, 3, 5], 0.6, most=2)
    assert source == [0, "b", 1, "d", "e", "f", "g"] and target == [0, "a", 1, "c"]


def test_a_text_without_words_has_no_spans():
    assert corrupt_spans([], [], 0.5) == ([], [])


@pytest.mark.parametrize(("order", "ratio"), [([0, 0], 0.5), ([0], 0.5), ([1, 0], 1.5), ([1, 0], -0.1)])
def test_other_orders_and_shares_are_refused(order, ratio):
    with pytest.raises(UsageError, match="permutation of 2 positions"):
        corrupt_spans(["two", "dogs"], order, ratio)

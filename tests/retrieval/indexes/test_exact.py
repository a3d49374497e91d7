"""Exact search in blocks equals exact search at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.config.retrieval import IndexSection
from ofakit.retrieval import vector_files
from ofakit.retrieval.indexes import exact
from ofakit.retrieval.indexes.exact import ExactIndex, merged_top
from ofakit.retrieval.vector_files import Vectors


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=7), min_size=1, max_size=5), st.integers(1, 9),
    st.integers(0, 2**31),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_merging_blocks_equals_sorting_all(blocks, k, seed):
    """With few different scores, so that most are tied."""
    generator = np.random.default_rng(seed)
    scores, positions, start = np.empty((3, 0), np.float32), np.empty((3, 0), np.int64), 0
    parts = [generator.permuted(np.tile(np.float32(block), (3, 1)), axis=1) for block in blocks]
    for part in parts:
        scores, positions = merged_top(scores, positions, part, start, k)
        start += part.shape[1]
    whole = np.concatenate(parts, axis=1)
    order = np.argsort(-whole, axis=1, kind="stable")[:, :k]
    assert np.array_equal(positions, order) and np.array_equal(scores, np.take_along_axis(whole, order, 1))


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_a_sorted_base_is_searched_as_any_other(order):
    found = np.arange(5000, dtype=np.float32)[:: 1 if order == "ascending" else -1].reshape(1, -1)
    scores, positions = merged_top(np.full((1, 2), -1, np.float32), np.zeros((1, 2), np.int64), found, 10, 2)
    assert scores.tolist() == [[4999, 4998]]
    assert positions.tolist() == ([[5009, 5008]] if order == "ascending" else [[10, 11]])


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_blocks_and_parts_change_nothing(monkeypatch, tmp_path, metric, dtype):
    generator = np.random.default_rng(0)
    rows, queries = generator.integers(-3, 4, (90, 6)).astype(dtype), generator.integers(-3, 4, (25, 6)).astype("f4")
    settings = IndexSection(metric=metric)
    whole = ExactIndex(tmp_path, Vectors([rows]), settings).search(queries, 7)
    monkeypatch.setattr(vector_files, "BLOCK_BYTES", 4 * 6 * 11)
    monkeypatch.setattr(exact, "QUERIES", 4)
    in_blocks = ExactIndex(tmp_path, Vectors([rows[:13], rows[13:]]), settings).search(queries, 7)
    if metric != "cosine":  # of integers: exact
        for one, other in zip(whole, in_blocks, strict=True):
            assert np.array_equal(one, other)
        return
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-9) for x in (queries, rows.astype("f4"))]
    for scores, positions in (whole, in_blocks):  # rounding may exchange rows of one score
        np.testing.assert_allclose(scores, whole[0], atol=1e-6)
        np.testing.assert_allclose(np.take_along_axis(unit[0] @ unit[1].T, positions, 1), scores, atol=1e-6)


def test_the_nearest_of_near_ones_is_found(tmp_path):
    """Far from the origin, where inner products do not tell them apart."""
    rows = np.float32(10) + np.float32(1e-2) * np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    scores, positions = ExactIndex(tmp_path, Vectors([rows]), IndexSection(metric="l2")).search(rows, 1)
    assert positions[:, 0].tolist() == list(range(40)) and not scores.any()

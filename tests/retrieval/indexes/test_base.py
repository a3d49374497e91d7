"""What holds of every engine: rankings are never reversed, and scores are those of the metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.config.retrieval import IndexSection
from ofakit.retrieval import build_engine, load_index, write_index
from ofakit.retrieval.indexes import INDEXES
from ofakit.retrieval.indexes.base import normalized

METRICS = ("ip", "cosine", "l2")
EXACT = [("exact", "Flat"), ("faiss", "Flat"), ("milvus", "FLAT")]
LOSSY = [
    ("faiss", "HNSW16", 0.95), ("faiss", "IVF16,Flat", 0.8), ("faiss", "SQfp16", 0.99), ("faiss", "IVF16,SQ8", 0.8),
    ("faiss", "PQ8", 0.6), ("milvus", "HNSW16", 0.95), ("milvus", "IVF16_SQ8", 0.8),
]  # fmt: skip
"""Of the ten nearest, the share that is found, at least."""
COUNT, DIMENSION, CLUSTERS = 600, 16, 12


def scores_of(queries, rows, metric):
    """By definition, in double precision: (n, m)."""
    queries, rows = queries.astype(np.float64), rows.astype(np.float64)
    if metric == "l2":
        return -((queries[:, None] - rows) ** 2).sum(-1)
    if metric == "cosine":
        queries, rows = normalized(queries).astype(np.float64), normalized(rows).astype(np.float64)
    return queries @ rows.T


def clustered(seed=0, count=COUNT):
    """Rows in groups around centres, of very different lengths, and the group of each."""
    generator = np.random.default_rng(seed)
    centres = 3 * generator.standard_normal((CLUSTERS, DIMENSION))
    groups = np.arange(count) % CLUSTERS
    rows = centres[groups] + generator.standard_normal((count, DIMENSION))
    return (rows * generator.uniform(0.3, 3, (count, 1))).astype(np.float32), groups


def opened(folder, engine, factory, metric, rows, **more):
    if engine == "milvus":
        pytest.importorskip("milvus_lite")
    write_index(folder, rows, [str(n) for n in range(len(rows))], metric=metric)
    return build_engine(folder, IndexSection(engine=engine, factory=factory, **more))


def test_every_engine_is_looked_at():
    assert {engine for engine, *_ in [*EXACT, *LOSSY]} == set(INDEXES.names())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("engine", "factory"), EXACT)
def test_exact_engines_rank_as_the_metric_is_defined(tmp_path, engine, factory, metric):
    rows, _ = clustered()
    index = opened(tmp_path / "base", engine, factory, metric, rows)
    queries = np.concatenate([rows[:20], clustered(seed=1, count=20)[0]])
    scores, positions = index.search_positions(queries, 10)
    index.close()
    defined = scores_of(queries, rows, metric)
    assert np.array_equal(positions, np.argsort(-defined, axis=1, kind="stable")[:, :10])
    assert np.allclose(scores, np.take_along_axis(defined, positions, 1), rtol=1e-4, atol=2e-3)
    if metric == "ip":
        assert np.array_equal(positions[:, 0], np.argmax(queries @ rows.T, axis=1))
    else:
        assert positions[:20, 0].tolist() == list(range(20)), "a vector of the base is its own nearest"


@given(
    metric=st.sampled_from(METRICS), engine=st.sampled_from(EXACT[:2]), k=st.integers(1, 12),
    seed=st.integers(0, 2**31), scale=st.floats(1e-3, 1e3),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_a_planted_query_is_first(tmp_path_factory, metric, engine, k, seed, scale):
    generator = np.random.default_rng(seed)
    rows = (scale * generator.standard_normal((12, 5))).astype(np.float32)
    index = opened(tmp_path_factory.mktemp("index") / "base", *engine, metric, rows)
    scores, positions = index.search_positions(rows, k)
    best = np.argmax(rows @ rows.T, axis=1) if metric == "ip" else np.arange(12)
    assert np.array_equal(positions[:, 0], best)
    assert scores.shape == (12, k) and (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == k for row in positions.tolist())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("engine", "factory", "recall"), LOSSY)
def test_lossy_engines_keep_a_stated_recall(tmp_path, engine, factory, recall, metric):
    rows, _ = clustered()
    index = opened(tmp_path / "base", engine, factory, metric, rows, nprobe=4)
    queries = clustered(seed=1, count=40)[0]
    scores, found = index.search_positions(queries, 10)
    index.close()
    wanted = np.argsort(-scores_of(queries, rows, metric), axis=1)[:, :10]
    assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(found.tolist(), wanted.tolist(), strict=True)]) >= recall
    present = np.where(np.isfinite(scores), scores, scores[:, :1].min() - 1e9)
    assert (np.diff(present, axis=1) <= 0).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("engine", "factory"), [*EXACT, *((engine, factory) for engine, factory, _ in LOSSY)])
def test_precision_does_not_rise_with_k_on_planted_data(tmp_path, engine, factory, metric):
    rows, groups = clustered(seed=2)
    rows = normalized(rows) if metric == "ip" else rows
    index = opened(tmp_path / "base", engine, factory, metric, rows, nprobe=16)
    _, positions = index.search_positions(rows[:60], 200)
    index.close()
    right = np.where(positions >= 0, groups[positions] == groups[:60, None], False)
    precision = np.array([right[:, :k].mean() for k in (1, 5, 20, 50, 100, 200)])
    assert precision[0] > 0.9 and (np.diff(precision) <= 0.005).all()


@pytest.mark.parametrize(("engine", "factory"), EXACT)
def test_equal_scores_stand_in_the_order_of_the_base(tmp_path, engine, factory):
    rows = np.tile(np.eye(4, dtype=np.float32), (5, 1))
    index = opened(tmp_path / "base", engine, factory, "ip", rows)
    _, positions = index.search_positions(rows[:4], 20)
    index.close()
    for number, row in enumerate(positions.tolist()):
        same = list(range(number, 20, 4))
        assert row == same + [position for position in range(20) if position not in same]


@pytest.mark.parametrize(("engine", "factory"), [*EXACT, ("faiss", "IVF4,SQ8")])
def test_an_opened_index_answers_as_the_one_that_was_built(tmp_path, engine, factory):
    rows, _ = clustered(count=200)
    index = opened(tmp_path / "base", engine, factory, "cosine", rows)
    first = index.search(rows[:9], 5)
    index.close()
    again = load_index(tmp_path / "base", verify=True)
    for one, other in zip(first, again.search(rows[:9], 5), strict=True):
        assert np.array_equal(one, other)
    again.close()


def test_zero_stays_zero():
    rows = normalized(np.array([[3.0, 4.0], [0.0, 0.0]], np.float16))
    assert rows.dtype == np.float32 and np.allclose(rows, [[0.6, 0.8], [0, 0]])

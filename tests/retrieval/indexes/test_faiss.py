"""FAISS by factory string: the metric is always said, training is repeatable, errors say what FAISS says."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from ofakit.config.retrieval import IndexSection
from ofakit.errors import UsageError
from ofakit.retrieval.indexes import faiss as faiss_index
from ofakit.retrieval.indexes.faiss import FaissIndex
from ofakit.retrieval.vector_files import Vectors

ROWS = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)


def built(folder, vectors=None, **settings):
    vectors = vectors or Vectors([ROWS])
    settings = IndexSection(engine="faiss", **settings)
    FaissIndex.build(folder, vectors, settings)
    return FaissIndex(folder, vectors, settings)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("ip", faiss.METRIC_INNER_PRODUCT), ("cosine", faiss.METRIC_INNER_PRODUCT), ("l2", faiss.METRIC_L2)],
)
@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF4,Flat", "SQfp16", "PQ4x4"])
def test_the_metric_is_always_said(tmp_path, metric, expected, factory):
    engine = built(tmp_path, factory=factory, metric=metric)
    index = faiss.downcast_index(engine.index)
    assert index.metric_type == expected
    assert isinstance(index, faiss.IndexPreTransform) == (metric == "cosine")


def test_it_finds_what_faiss_itself_finds(tmp_path):
    raw = faiss.IndexFlatL2(16)
    raw.add(ROWS)
    distances, positions = raw.search(ROWS[:50] + np.float32(0.1), 9)
    scores, found = built(tmp_path, metric="l2").search(ROWS[:50] + np.float32(0.1), 9)
    assert np.array_equal(found, positions) and np.array_equal(scores, -distances)


def test_the_same_vectors_give_the_same_index(tmp_path):
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        built(tmp_path / name, factory="IVF8,PQ4x4", train_size=300, seed=3)
        files.append((tmp_path / name / "faiss.index").read_bytes())
    assert files[0] == files[1]
    built(tmp_path / "b", factory="IVF8,PQ4x4", train_size=300, seed=4)
    assert (tmp_path / "b" / "faiss.index").read_bytes() != files[0]


def test_how_widely_a_search_looks_is_set(tmp_path):
    engine = built(tmp_path, factory="IVF16,Flat", nprobe=5)
    assert faiss.extract_index_ivf(engine.index).nprobe == 5
    engine = built(tmp_path, factory="HNSW8", metric="cosine", ef_search=33)
    inner = faiss.downcast_index(faiss.downcast_index(engine.index).index)
    assert inner.hnsw.efSearch == 33


def test_how_widely_building_looks_is_set():
    index = faiss_index._made(16, IndexSection(engine="faiss", factory="HNSW8", metric="cosine", ef_construction=77))
    assert faiss.downcast_index(faiss.downcast_index(index).index).hnsw.efConstruction == 77


@pytest.mark.parametrize("factory", ["PQ4x4", "IVF4,PQ4x4", "PQ4x4,RFlat", "OPQ4,PQ4x4"])
def test_nothing_is_trained_that_is_not_used(factory):
    """Polysemous codes: eleven of the twelve seconds that 600 vectors of 16 dimensions take."""
    whole = faiss_index._made(16, IndexSection(engine="faiss", factory=factory))
    index = faiss.downcast_index(whole)
    while not hasattr(index, "do_polysemous_training"):
        index = faiss.downcast_index(index.index if isinstance(index, faiss.IndexPreTransform) else index.base_index)
    assert not index.do_polysemous_training


def test_what_is_not_found_has_no_position(tmp_path):
    scores, positions = built(tmp_path, factory="IVF64,Flat", nprobe=1).search(ROWS[:5], 200)
    assert (positions[:, -1] == -1).all() and np.isneginf(scores[:, -1]).all()
    assert np.array_equal(positions < 0, np.isneginf(scores))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factory": "FlatHNSW"}, "expected a factory string of FAISS for 16 dimensions.*found 'FlatHNSW'"),
        ({"factory": "PQ5"}, "'PQ5'"),
        ({"factory": "IVF600,Flat"}, "does not fit 500 vectors of 16 dimensions; FAISS says: .*600"),
    ],
)
def test_what_faiss_refuses_is_bad_usage(tmp_path, settings, message):
    with pytest.raises(UsageError, match=message):
        built(tmp_path, **settings)


def test_a_damaged_file_is_refused(tmp_path):
    built(tmp_path)
    (tmp_path / "faiss.index").write_bytes(b"no index")
    with pytest.raises(UsageError, match="expected an index of FAISS in .*faiss.index.*Build it again"):
        FaissIndex(tmp_path, Vectors([ROWS]), IndexSection())


@pytest.mark.parametrize(("factory", "moved"), [("Flat", True), ("IVF4,SQfp16", True), ("HNSW8", False)])
@pytest.mark.parametrize("metric", ["ip", "cosine"])
def test_kinds_that_gpus_have_go_there(tmp_path, monkeypatch, factory, moved, metric):
    """GPUs are pretended: the copy to them gives back the index itself."""
    copied = []
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", lambda index: copied.append(index) or index, raising=False)
    index = built(tmp_path, factory=factory, metric=metric)
    assert len(copied) == moved
    assert index.search(ROWS[:3], 2)[1].shape == (3, 2)

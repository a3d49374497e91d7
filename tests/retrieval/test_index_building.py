"""Index directories are made, extended and joined; what was there before stays until the new one is whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from ofakit.config.retrieval import IndexSection
from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.retrieval import append_vectors, build_engine, load_index, merge_indexes, write_index

from tests.file_limit import file_limit

ROWS = np.random.default_rng(3).standard_normal((60, 8)).astype(np.float32)
IDS = [f"p{n}" for n in range(60)]
FAISS = IndexSection(engine="faiss", factory="Flat")


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_are_kept_in_their_type(tmp_path, dtype):
    index = write_index(tmp_path / "base", ROWS, IDS, dtype=dtype)
    assert np.array_equal(np.load(tmp_path / "base/vectors.npy"), ROWS.astype(dtype)) and list(index.ids) == IDS


def test_the_same_vectors_give_the_same_files(tmp_path):
    for name in ("a", "b"):
        write_index(tmp_path / name, ROWS, IDS)
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize(
    ("rows", "ids", "dtype", "message"),
    [
        (ROWS, IDS[:-1], "float32", "an id for each vector, found 59 ids and 60 vectors"),
        (ROWS, [*IDS[:-1], "p3"], "float32", "items 4 and 60 share the id 'p3'"),
        (ROWS * np.float32(1e6), IDS, "float16", "vector of 'p0', found a value that float16 cannot hold"),
        (np.where(ROWS[7, 2] == ROWS, np.nan, ROWS), IDS, "float32", "vector of 'p7', found nan"),
        (ROWS[0], IDS, "float32", r"expected vectors of shape \(n, d\)"),
    ],
)
def test_bad_vectors_are_refused_and_the_old_stay(tmp_path, rows, ids, dtype, message):
    write_index(tmp_path / "base", ROWS[:5], IDS[:5])
    before = content(tmp_path / "base")
    with pytest.raises(UsageError, match=message):
        write_index(tmp_path / "base", rows, ids, dtype=dtype)
    assert content(tmp_path / "base") == before


def test_an_unknown_metric_is_refused(tmp_path):
    with pytest.raises(UsageError, match="metric"):
        write_index(tmp_path / "base", ROWS, IDS, metric="dot")


def test_grown_equals_whole(tmp_path):
    write_index(tmp_path / "grown", ROWS[:20], IDS[:20], fingerprint="f", metric="l2")
    append_vectors(tmp_path / "grown", ROWS[20:21], IDS[20:21], "f")
    grown = append_vectors(tmp_path / "grown", ROWS[21:], IDS[21:], "f")
    whole = write_index(tmp_path / "whole", ROWS, IDS, fingerprint="f", metric="l2")
    assert list(grown.ids) == IDS
    for one, other in zip(grown.search(ROWS, 9), whole.search(ROWS, 9), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("rows", "ids", "fingerprint", "message"),
    [
        (ROWS[:2], ["new", "p3"], "f", "items 4 and 12 share the id 'p3'"),
        (ROWS[:2], ["x", "y"], "g", "expected the fingerprint g, found f"),
        (ROWS[:2, :4], ["x", "y"], "f", "expected vectors of 8 dimensions, found 4"),
        (ROWS[:2] * np.inf, ["x", "y"], "f", "vector of 'x'"),
    ],
)
def test_a_refused_addition_leaves_no_trace(tmp_path, rows, ids, fingerprint, message):
    write_index(tmp_path / "base", ROWS[:10], IDS[:10], fingerprint="f")
    before = content(tmp_path / "base")
    with pytest.raises(UsageError, match=message), np.errstate(invalid="ignore"):
        append_vectors(tmp_path / "base", rows, ids, fingerprint)
    assert content(tmp_path / "base") == before


def test_a_killed_addition_leaves_the_old_state(tmp_path):
    write_index(tmp_path / "base", ROWS[:10], IDS[:10], fingerprint="f")
    script = f"""
        import os, signal
        import numpy as np
        from ofakit.retrieval import append_vectors, index_record
        index_record.IndexRecord.write = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        append_vectors({str(tmp_path / "base")!r}, np.ones((2, 8)), ["x", "y"], "f")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert list(load_index(tmp_path / "base", verify=True).ids) == IDS[:10]
    assert list(append_vectors(tmp_path / "base", ROWS[:1], ["z"], "f").ids) == [*IDS[:10], "z"]


def test_a_full_disk_leaves_the_old_state(tmp_path):
    write_index(tmp_path / "base", ROWS[:10], IDS[:10], fingerprint="f")
    with file_limit(1000), pytest.raises(SaveError):
        append_vectors(tmp_path / "base", ROWS, [f"q{n}" for n in range(60)], "f")
    assert list(load_index(tmp_path / "base", verify=True).ids) == IDS[:10]


@pytest.fixture
def shards(tmp_path):
    """Two indexes and a third that is both together."""
    write_index(tmp_path / "one", ROWS[:25], IDS[:25], fingerprint="f")
    write_index(tmp_path / "two", ROWS[25:], IDS[25:], fingerprint="f")
    return tmp_path


def test_merged_equals_whole_and_copies_nothing(shards):
    merged = merge_indexes([shards / "one", shards / "two"], shards / "both")
    whole = write_index(shards / "whole", ROWS, IDS, fingerprint="f")
    assert [path.name for path in (shards / "both").iterdir()] == ["index.json"]
    found, expected = merged.search(ROWS, 9), whole.search(ROWS, 9)
    assert np.array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)  # products of other sizes round differently


def test_all_of_it_may_move(shards):
    merge_indexes([shards / "one", shards / "two"], shards / "both")
    (shards / "elsewhere").mkdir()
    for name in ("one", "two", "both"):
        shutil.move(shards / name, shards / "elsewhere" / name)
    assert list(load_index(shards / "elsewhere" / "both").ids) == IDS


def test_a_merged_index_grows_and_is_merged_again(shards):
    merge_indexes([shards / "one", shards / "two"], shards / "both")
    append_vectors(shards / "both", ROWS[:1], ["x"], "f")
    write_index(shards / "three", ROWS[:1], ["y"], fingerprint="f")
    assert list(merge_indexes([shards / "both", shards / "three"], shards / "all").ids) == [*IDS, "x", "y"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fingerprint": "g"}, "expected the fingerprint f, found g"),
        ({"metric": "l2"}, "metric: expected 'ip', found 'l2'"),
        ({"dtype": "float16"}, "8 dimensions in float32 .* found 8 in float16"),
        ({"ids": IDS[:35]}, "share the id 'p0'"),
    ],
)
def test_indexes_that_differ_are_not_merged(shards, change, message):
    ids = change.pop("ids", IDS[25:])
    write_index(shards / "two", ROWS[25:], ids, **{"fingerprint": "f", **change})
    with pytest.raises(UsageError, match=message):
        merge_indexes([shards / "one", shards / "two"], shards / "both")
    assert not (shards / "both").exists()


def test_vectors_are_not_replaced_by_a_list(shards):
    with pytest.raises(UsageError, match="contains vectors of its own"):
        merge_indexes([shards / "one"], shards / "two")
    with pytest.raises(UsageError, match="found none"):
        merge_indexes([], shards / "both")


def test_an_engine_belongs_to_its_vectors(tmp_path):
    write_index(tmp_path / "base", ROWS[:40], IDS[:40], fingerprint="f")
    assert build_engine(tmp_path / "base", FAISS).settings.engine == "faiss"
    append_vectors(tmp_path / "base", ROWS[40:], IDS[40:], "f")
    with pytest.raises(
        UsageError, match=r"was built from other vectors \(\w+\) than the directory contains now \(\w+\)"
    ):
        load_index(tmp_path / "base")
    assert load_index(tmp_path / "base", engine="exact").search(ROWS, 1)[1].shape == (60, 1)
    assert build_engine(tmp_path / "base", FAISS).search(ROWS, 60)[1].shape == (60, 60)


def test_an_engine_takes_the_place_of_another(tmp_path):
    write_index(tmp_path / "base", ROWS, IDS)
    build_engine(tmp_path / "base", FAISS)
    build_engine(tmp_path / "base", FAISS.model_copy(update={"factory": "HNSW8"}))
    (engine,) = (tmp_path / "base").glob("*engine*")
    assert load_index(tmp_path / "base").settings.factory == "HNSW8"
    (engine / "faiss.index").write_bytes((engine / "faiss.index").read_bytes()[:-1])
    with pytest.raises(UsageError, match="bytes in .*faiss.index"):
        load_index(tmp_path / "base")
    build_engine(tmp_path / "base", IndexSection())
    assert not list((tmp_path / "base").glob("*engine*"))


def test_a_failed_engine_leaves_the_one_of_before(tmp_path):
    write_index(tmp_path / "base", ROWS, IDS)
    build_engine(tmp_path / "base", FAISS)
    before = content(tmp_path / "base")
    for factory, error in [("HNSW8", SaveError), ("IVF100,Flat", UsageError)]:
        with file_limit(2000), pytest.raises(error):
            build_engine(tmp_path / "base", FAISS.model_copy(update={"factory": factory}))
        assert content(tmp_path / "base") == before


def test_there_is_nothing_to_build_from_no_vectors(tmp_path):
    write_index(tmp_path / "base", ROWS[:0], [])
    with pytest.raises(UsageError, match="contains no vectors"):
        build_engine(tmp_path / "base", FAISS)

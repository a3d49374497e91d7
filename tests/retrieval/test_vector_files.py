"""Vectors on disk: preallocated, written at their place, read through a memory map."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.retrieval.vector_files import VectorFile, Vectors, open_vectors

from tests.file_limit import file_limit

ROWS = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_pieces_may_come_in_any_order(tmp_path, dtype):
    with VectorFile.create(tmp_path / "v.npy", 7, 5, dtype) as file:
        for start, stop in [(4, 7), (0, 1), (1, 4)]:
            file.write(start, ROWS[start:stop])
        file.sync()
    assert np.array_equal(np.load(tmp_path / "v.npy"), ROWS.astype(dtype))
    assert np.array_equal(open_vectors(tmp_path / "v.npy"), ROWS.astype(dtype))


def test_the_room_is_reserved_at_once(tmp_path):
    with VectorFile.create(tmp_path / "v.npy", 1000, 50, "float16"):
        assert (tmp_path / "v.npy").stat().st_blocks * 512 >= 1000 * 50 * 2


def test_a_disk_without_room_is_told_before_anything_is_computed(tmp_path):
    with file_limit(10_000), pytest.raises(SaveError, match="cannot save .*v.npy"):
        VectorFile.create(tmp_path / "v.npy", 1000, 50, "float16")


@pytest.mark.parametrize(("start", "shape"), [(0, (1, 4)), (5, (3, 5)), (-1, (1, 5)), (0, (5,))])
def test_rows_that_do_not_fit_are_refused(tmp_path, start, shape):
    with (
        VectorFile.create(tmp_path / "v.npy", 7, 5, "float32") as file,
        pytest.raises(UsageError, match="fit into rows"),
    ):
        file.write(start, np.zeros(shape, np.float32))


def test_no_vectors_at_all_can_be_read(tmp_path):
    VectorFile.create(tmp_path / "v.npy", 0, 5, "float16").__exit__()
    assert open_vectors(tmp_path / "v.npy").shape == (0, 5)


@pytest.mark.parametrize("damage", ["missing", "cut", "longer", "text", "int64", "matrix"])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = tmp_path / "v.npy"
    np.save(path, {"int64": ROWS.astype(np.int64), "matrix": ROWS.ravel()}.get(damage, ROWS))
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"1234")
    elif damage == "text":
        path.write_text("no array")
    with pytest.raises(UsageError, match="expected an array of float32 or float16 vectors in .*v.npy, found"):
        open_vectors(path)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_parts_read_like_one_array(sizes, rows):
    whole = np.arange(3 * sum(sizes), dtype=np.float32).reshape(-1, 3)
    vectors = Vectors(np.split(whole, np.cumsum(sizes)[:-1]))
    assert len(vectors) == len(whole) and vectors.dimension == 3
    blocks = list(vectors.blocks(rows))
    assert np.array_equal(np.concatenate([whole[:0], *(block for _, block in blocks)]), whole)
    assert all(
        np.array_equal(block, whole[start : start + len(block)]) and len(block) <= rows for start, block in blocks
    )
    chosen = np.arange(len(whole))[::-2]
    assert np.array_equal(vectors.rows(chosen), whole[chosen])
    for place in (slice(None), slice(1, 5), slice(-3, None), slice(2, None, 2), slice(4, 1), slice(None, None, -1)):
        assert np.array_equal(vectors[place], whole[place])

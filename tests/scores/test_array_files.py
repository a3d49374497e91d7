"""Files of arrays: what was saved comes back, and what is no such file is refused with a cure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.files import SaveError
from ofakit.scores.array_files import load_arrays, pack_strings, save_arrays, unpack_strings

from tests.file_limit import file_limit

KIND, CURE = "test arrays 1", "make one with: this test"


def load(path, names=("numbers", "words")):
    return load_arrays(path, KIND, names, CURE)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "arrays.npz"
    save_arrays(path, KIND, numbers=np.arange(500) * 7919 % 1009, words=pack_strings(["a", "é", "😀"]), documents=3)
    return path


def test_what_was_saved_comes_back(saved):
    found = load(saved, ["numbers", "words", "documents"])
    assert set(found) == {"numbers", "words", "documents"}
    np.testing.assert_array_equal(found["numbers"], np.arange(500) * 7919 % 1009)
    assert unpack_strings(found["words"]) == ["a", "é", "😀"]
    assert int(found["documents"]) == 3
    assert [entry.name for entry in saved.parent.iterdir()] == ["arrays.npz"]


def test_what_was_saved_without_compression_comes_back(tmp_path):
    save_arrays(tmp_path / "arrays.npz", KIND, compressed=False, numbers=np.zeros(500), words=pack_strings(["a"]))
    assert load(tmp_path / "arrays.npz")["numbers"].tolist() == [0.0] * 500
    assert (tmp_path / "arrays.npz").stat().st_size > 500 * 8


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec=None), min_size=1)))
def test_strings_survive_packing(strings):
    """Lone surrogates and white space too."""
    assert unpack_strings(pack_strings(strings)) == strings


def test_an_empty_string_among_others_survives_packing():
    assert unpack_strings(pack_strings(["", "a", ""])) == ["", "a", ""]


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 half a zip"])
def test_a_broken_file_is_refused(tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=rf"broken\.npz: expected a file of kind '{KIND}', found: .*; {CURE}"):
        load(path)


def test_whatever_byte_is_damaged_the_arrays_are_right_or_refused(saved):
    """A changed byte inside a compressed array, a zip header or a directory, and a file that ends early."""
    whole, expected = saved.read_bytes(), load(saved)
    refused = 0
    for place in range(0, len(whole), 3):
        for content in (whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :], whole[:place]):
            saved.write_bytes(content)
            try:
                found = load(saved)
            except UsageError as error:
                refused += 1
                assert "arrays.npz: expected" in str(error) and CURE in str(error)
            else:
                assert all(np.array_equal(found[name], expected[name]) for name in ("numbers", "words"))
    assert refused > len(whole) / 3


def test_another_kind_a_single_array_and_a_folder_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", kind="something else 7")
    np.savez(tmp_path / "nothing.npz", numbers=np.zeros(3))
    np.save(tmp_path / "single.npy", np.zeros(3))
    for name, message in (
        ("other.npz", "found kind 'something else 7'"),
        ("nothing.npz", "found kind 'unknown'"),
        ("single.npy", "found: a single array"),
        ("nowhere.npz", "No such file"),
        ("", "Is a directory"),
    ):
        with pytest.raises(UsageError, match=rf"expected a file of kind '{KIND}', {message}|{message}.*; {CURE}"):
            load(tmp_path / name)


def test_a_missing_array_is_named(saved):
    with pytest.raises(UsageError, match=f"expected the arrays numbers, edges, counts, found no counts, edges; {CURE}"):
        load(saved, ["numbers", "edges", "counts"])


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.savez(tmp_path / "evil.npz", kind=KIND, numbers=np.array([{}], dtype=object))
    with pytest.raises(UsageError, match="expected a file of kind"):
        load(tmp_path / "evil.npz")


def test_a_save_that_fails_leaves_the_old_file(saved):
    before = saved.read_bytes()
    with pytest.raises(SaveError, match="arrays.npz: File too large"), file_limit(100):
        save_arrays(saved, KIND, numbers=np.arange(9))
    assert saved.read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["arrays.npz"]

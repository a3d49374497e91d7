"""Rows by digest, computed once, whoever asks and whatever was interrupted."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
from ofakit.data.feature_store import FeatureStore
from ofakit.errors import UsageError


def digests(*numbers):
    return [bytes([number]) * 16 for number in numbers]


class Computing:
    """Rows that tell which place they were made for, and a count of how many were made."""

    def __init__(self, numbers):
        self.numbers, self.made = numbers, []

    def __call__(self, places):
        self.made += [self.numbers[place] for place in places]
        return np.array([[self.numbers[place], 0.5, -1] for place in places], np.float32)


def test_each_row_is_computed_once_and_found_by_every_store(tmp_path):
    store, computing = FeatureStore(tmp_path / "new", "net", 3), Computing([7, 3, 7, 0])
    rows = store.rows(digests(7, 3, 7, 0), computing)
    assert rows[:, 0].tolist() == [7, 3, 7, 0] and rows.dtype == np.float32 and computing.made == [7, 3, 0]
    again = FeatureStore(tmp_path / "new", "net", 3)
    assert again.rows(digests(0, 7), Computing([])).tolist() == [[0, 0.5, -1], [7, 0.5, -1]] and len(again) == 3
    again.rows(digests(9), Computing([9]))
    assert store.rows(digests(9), Computing([]))[0, 0] == 9
    assert store.rows([], Computing([])).shape == (0, 3)


def test_another_network_has_rows_of_its_own(tmp_path):
    FeatureStore(tmp_path, "one", 3).rows(digests(1), Computing([1]))
    other = Computing([2])
    assert FeatureStore(tmp_path, "two", 3).rows(digests(1), other)[0, 0] == 2 and other.made == [2]


def test_half_precision_halves_rows_and_rounds_them(tmp_path):
    store = FeatureStore(tmp_path, "net", 3, "float16")
    exact = np.array([[1 / 3, -2e-3, 65504]], np.float32)
    rows = store.rows(digests(1), lambda places: exact)
    assert rows.dtype == np.float32 and rows.tolist() == exact.astype(np.float16).astype(np.float32).tolist()
    assert store.path.stat().st_size == 16 + 4 + 3 * 2
    with pytest.raises(UsageError, match="exceed the range of float16; set feature_dtype to float32"):
        store.rows(digests(2), lambda places: exact * 2)
    assert len(FeatureStore(tmp_path, "net", 3, "float16")) == 1


@pytest.mark.parametrize("lost", [1, 11, 31])
def test_a_record_that_was_cut_off_is_computed_again(tmp_path, lost):
    store = FeatureStore(tmp_path, "net", 3)
    store.rows(digests(1, 2), Computing([1, 2]))
    content = store.path.read_bytes()
    store.path.write_bytes(content[:-lost])
    after, computing = FeatureStore(tmp_path, "net", 3), Computing([1, 2, 3])
    assert after.rows(digests(1, 2, 3), computing)[:, 0].tolist() == [1, 2, 3] and computing.made == [2, 3]
    assert FeatureStore(tmp_path, "net", 3).rows(digests(1, 2, 3), Computing([]))[:, 0].tolist() == [1, 2, 3]


def test_a_damaged_record_is_computed_again(tmp_path):
    store = FeatureStore(tmp_path, "net", 3)
    store.rows(digests(1, 2), Computing([1, 2]))
    content = bytearray(store.path.read_bytes())
    content[25] ^= 1
    store.path.write_bytes(content)
    after, computing = FeatureStore(tmp_path, "net", 3), Computing([1, 2])
    assert after.rows(digests(1, 2), computing)[:, 0].tolist() == [1, 2] and computing.made == [1]


def test_processes_that_add_at_once_lose_nothing(tmp_path):
    program = (
        "import sys, numpy as np; from ofakit.data.feature_store import FeatureStore\n"
        "store, start = FeatureStore(sys.argv[1], 'net', 3), int(sys.argv[2])\n"
        "for k in range(start, start + 60):\n"
        "    store.rows([bytes([k]) * 16], lambda places: np.full((1, 3), k, np.float32))\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(start)]) for start in (0, 30, 60)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    found = FeatureStore(tmp_path, "net", 3).rows(digests(*range(120)), Computing([]))
    assert found[:, 0].tolist() == list(range(120))


def test_a_copy_is_the_store_itself(tmp_path):
    store = FeatureStore(tmp_path, "net", 3)
    assert copy.deepcopy(store) is store


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot store features in .*Choose a folder that is writable"):
        FeatureStore(tmp_path / "file", "net", 3)

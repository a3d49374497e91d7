"""Regions on disk: found by every process, whole or not at all, of one network only."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from ofakit.data import region_store
from ofakit.data.region_store import RegionStore
from ofakit.data.regions import Regions
from ofakit.errors import UsageError

BY = {"network": "net", "fingerprint": "ab"}


def grid(number, count=2):
    return Regions(np.full((count, 3), number + 0.25, np.float32))


def placed(number, count=1):
    return Regions(np.full((count, 3), number, np.float32), np.full((count, 4), 0.5, np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_pictures_of_several_sizes_are_found_by_another_store(tmp_path, dtype):
    store = RegionStore.make(tmp_path / "new", 3, BY, dtype)
    store.add({"a/1.jpg": grid(1), "a/2.jpg": placed(2, 5)})
    store.add({"a/3.jpg": grid(3, 1)})
    again = RegionStore(tmp_path / "new")
    assert len(again) == 3 and again.width == 3 and again.names() == ["a/1.jpg", "a/2.jpg", "a/3.jpg"]
    for key, own in (("a/1.jpg", grid(1)), ("a/2.jpg", placed(2, 5)), ("/elsewhere/a/3.jpg", grid(3, 1))):
        found = again.regions(key)
        assert found.features.tolist() == own.features.tolist() and found.features.dtype == np.float32
        assert (found.boxes is None) == (own.boxes is None) and found.placed().tolist() == own.placed().tolist()
    assert "a/2.jpg" in again and "b/9.jpg" not in again and None not in again


def test_half_precision_halves_the_file_and_refuses_what_it_cannot_hold(tmp_path):
    store = RegionStore.make(tmp_path, 3, BY, "float16")
    store.add({"a": grid(1, 4)})
    assert (tmp_path / "features.bin").stat().st_size == 4 * 3 * 2
    with pytest.raises(UsageError, match="'b' exceed the range of float16"):
        store.add({"b": Regions(np.full((1, 3), 7e4, np.float32))})
    assert RegionStore(tmp_path).names() == ["a"]


def test_what_is_absent_damaged_or_changed_is_made_again(tmp_path):
    store = RegionStore.make(tmp_path, 3, BY)
    store.add({"a": grid(1), "b": grid(2)}, {"a": "x", "b": "y"})
    wanted = {"a": "x", "b": "y", "c": "z"}
    assert store.absent(wanted) == ["c"] and store.absent({**wanted, "a": "other"}) == ["a", "c"]
    content = bytearray((tmp_path / "features.bin").read_bytes())
    content[-1] ^= 1
    (tmp_path / "features.bin").write_bytes(content)
    after = RegionStore(tmp_path)
    assert after.absent(wanted) == ["b", "c"] and after.regions("a").features[0, 0] == 1.25
    with pytest.raises(UsageError, match="regions of 'b' .* are damaged; compute them again"):
        after.regions("b")
    after.add({"b": grid(7), "c": grid(3)}, {"b": "y", "c": "z"})
    assert RegionStore(tmp_path).absent(wanted) == [] and after.regions("b").features[0, 0] == 7.25


@pytest.mark.parametrize("lost", [1, 30])
@pytest.mark.parametrize("file", ["index.jsonl", "features.bin", "boxes.bin"])
def test_what_a_killed_process_left_is_overwritten(tmp_path, file, lost):
    store = RegionStore.make(tmp_path, 3, BY)
    store.add({"a": grid(1)})
    store.add({"b": placed(2, 4)})
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[:-lost])
    after = RegionStore(tmp_path)
    assert after.absent({"a": None, "b": None, "c": None}) == ["b", "c"]
    after.add({"b": placed(2, 4), "c": grid(3)})
    found = RegionStore(tmp_path)
    assert [found.regions(key).features[0, 0] for key in "abc"] == [1.25, 2, 3.25]
    assert found.absent(dict.fromkeys("abc")) == []


@pytest.fixture
def synced(monkeypatch):
    """The files that the disk was made to keep."""
    found, plain = [], region_store.sync
    monkeypatch.setattr(region_store, "sync", lambda path: found.append(path.name) or plain(path))
    return found


@pytest.mark.parametrize("seconds, times", [(0.0, 3), (float("inf"), 0), (1e9, 1)])
def test_the_disk_is_waited_for_as_often_as_asked(tmp_path, monkeypatch, synced, seconds, times):
    monkeypatch.setattr(region_store, "SYNC_EVERY", seconds)
    store = RegionStore.make(tmp_path, 3, BY)
    store._synced = float("-inf") if times else 0.0
    for key in "abc":
        store.add({key: grid(1)})
        assert key in RegionStore(tmp_path), "others find it at once"
    assert synced == ["features.bin", "boxes.bin", "index.jsonl"] * times
    store.sync()
    assert len(synced) == 3 * (times + 1)


def test_a_killed_process_loses_nothing_that_it_had_added(tmp_path):
    program = (
        "import sys, itertools, numpy as np\n"
        "from ofakit.data import region_store\n"
        "from ofakit.data.regions import Regions\n"
        "region_store.sync = lambda path: None\n"
        "store = region_store.RegionStore.make(sys.argv[1], 3, {'network': 'net'})\n"
        "for k in itertools.count():\n"
        "    store.add({str(k): Regions(np.full((2, 3), k, np.float32))})\n"
        "    print(k, flush=True)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    said = [run.stdout.readline().strip() for _ in range(5)]
    run.kill()
    said += run.communicate()[0].split("\n")[:-1]
    store = RegionStore.make(tmp_path, 3, {"network": "net"})
    assert len(said) >= 5 and store.absent(dict.fromkeys(said)) == []
    store.add({"last": grid(7)})
    assert RegionStore(tmp_path).absent(dict.fromkeys([*said, "last"])) == []


def test_zeros_where_the_power_failed_are_made_again(tmp_path):
    store = RegionStore.make(tmp_path, 3, BY)
    for number, key in enumerate("abcd"):
        store.add({key: grid(number)})
    content = bytearray((tmp_path / "index.jsonl").read_bytes())
    lines = content.split(b"\n")
    start = len(lines[0]) + 3
    content[start : start + len(lines[1])] = bytes(
        len(lines[1])
    )  # the end of a line, its newline, the next one's start
    (tmp_path / "index.jsonl").write_bytes(content)
    after = RegionStore(tmp_path)
    assert after.absent(dict.fromkeys("abcd")) == ["b", "c"]
    after.add({"b": grid(1), "c": grid(2)})
    found = RegionStore(tmp_path)
    assert [found.regions(key).features[0, 0] for key in "abcd"] == [0.25, 1.25, 2.25, 3.25]


def test_features_of_something_else_are_refused(tmp_path):
    RegionStore.make(tmp_path, 3, BY)
    assert len(RegionStore.make(tmp_path, 3, BY)) == 0
    for width, by, dtype, said in (
        (3, {**BY, "fingerprint": "cd"}, "float32", "'ab'}, expected {'fingerprint': 'cd'}"),
        (4, BY, "float32", "{'width': 3}, expected {'width': 4}"),
        (3, BY, "float16", "{'dtype': 'float32'}, expected {'dtype': 'float16'}"),
    ):
        with pytest.raises(UsageError, match="cannot share a store") as refused:
            RegionStore.make(tmp_path, width, by, dtype)
        assert said in str(refused.value)
    with pytest.raises(UsageError, match="expected features of 3 numbers for 'a', found 4"):
        RegionStore(tmp_path).add({"a": Regions(np.zeros((1, 4), np.float32))})


def test_a_picture_that_is_not_there_is_named(tmp_path):
    store = RegionStore.make(tmp_path, 3, BY)
    store.add({"dog.jpg": grid(1)})
    with pytest.raises(UsageError, match="no regions of 'cat.jpg' .* those of 1 images, such as 'dog.jpg'"):
        store.regions("cat.jpg")


def test_a_folder_without_a_store_or_of_another_kind_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected a region store.*there is no such file"):
        RegionStore(tmp_path)
    (tmp_path / "store.json").write_text('{"format": "ofakit image store"}')
    with pytest.raises(UsageError, match="expected .*ofakit region store.*make the store again"):
        RegionStore(tmp_path)


def test_a_damaged_index_is_said(tmp_path):
    RegionStore.make(tmp_path, 3, BY).add({"a": grid(1)})
    (tmp_path / "index.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match="index.jsonl is damaged: .*delete"):
        RegionStore(tmp_path)


def test_a_pickled_store_reads_the_same(tmp_path):
    store = RegionStore.make(tmp_path, 3, BY)
    store.add({"a": placed(1)})
    store.regions("a")
    sent = pickle.dumps(store)
    assert pickle.loads(sent).regions("a").boxes.tolist() == [[0.5] * 4] and len(sent) < 2000


def test_processes_that_add_at_once_lose_nothing(tmp_path):
    program = (
        "import sys, numpy as np\n"
        "from ofakit.data.region_store import RegionStore\n"
        "from ofakit.data.regions import Regions\n"
        "start = int(sys.argv[2]); store = RegionStore.make(sys.argv[1], 3, {'network': 'net'})\n"
        "for k in range(start, start + 40):\n"
        "    store.add({str(k): Regions(np.full((1 + k % 3, 3), k, np.float32))})\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(start)]) for start in (0, 40, 80)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    store = RegionStore(tmp_path)
    assert store.absent({str(k): None for k in range(120)}) == []
    assert all(store.regions(str(k)).features.tolist() == [[k] * 3] * (1 + k % 3) for k in range(120))

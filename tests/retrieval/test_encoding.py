"""A base is encoded to the same bits in any number of processes and shards, and after any number of kills."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.errors import ModelNotFinite, UsageError
from ofakit.files import SaveError
from ofakit.retrieval import PassageFile, encode, load_index, merge_indexes, write_index

from tests.file_limit import file_limit
from tests.retrieval.fake_embedder import ENVIRONMENT, FakeEmbedder, content, passages
from tests.two_processes import run_two


def expected(items, dtype="float32"):
    embedder = FakeEmbedder()
    return np.stack([embedder.vector(item) for item in items]).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("count", [0, 1, 23, 24])
def test_every_vector_stands_at_the_place_of_its_item(tmp_path, count, dtype):
    items, embedder = passages(count), FakeEmbedder()
    done = encode(embedder, items, tmp_path / "base", dtype=dtype, block=8, max_tokens=60)
    assert (done.count, done.computed, done.errors, done.dimension) == (count, count, 0, 8) and done.seconds > 0
    index = load_index(tmp_path / "base", verify=True)
    assert list(index.ids) == [item.id for item in items]
    assert count == 0 or np.array_equal(index.vectors[:], expected(items, dtype))
    assert index.expect(embedder.fingerprint, "ip", {"pooling": "mean"}).record.encoder["side"] == "passage"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


def test_batches_keep_to_the_limit_and_to_their_block(tmp_path):
    items, embedder = passages(50), FakeEmbedder()
    lengths = {item.id: len(item.text.split()) + 2 for item in items}
    encode(embedder, items, tmp_path / "base", block=20, max_tokens=64, max_items=9)
    for batch in embedder.batches:
        assert len(batch) <= 9 and len(batch) * max(lengths[name] for name in batch) <= 64
        assert len({int(name[1:]) // 20 for name in batch}) == 1
    assert sum(map(len, embedder.batches)) == 50


def test_queries_may_be_encoded_too(tmp_path):
    encode(FakeEmbedder(), [Query("q", "what ?")], tmp_path / "queries")
    assert list(load_index(tmp_path / "queries").ids) == ["q"]


def test_done_is_not_done_again(tmp_path):
    items = passages(30)
    encode(FakeEmbedder(), items, tmp_path / "base", block=8)
    before = content(tmp_path / "base")
    again = encode(FakeEmbedder(), items, tmp_path / "base", block=8)
    assert (again.computed, again.count) == (0, 30) and content(tmp_path / "base") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]


@pytest.mark.parametrize("change", ["text", "encoder", "dtype", "metric"])
def test_what_has_changed_is_encoded_anew(tmp_path, change):
    items = passages(30)
    encode(FakeEmbedder(), items, tmp_path / "base", block=8)
    changed = [*items[:-1], Passage("p29", "other words")] if change == "text" else items
    settings = {"dtype": "float16"} if change == "dtype" else {"metric": "l2"} if change == "metric" else {}
    embedder = FakeEmbedder(name="other" if change == "encoder" else "fake")
    done = encode(embedder, changed, tmp_path / "base", block=8, **settings)
    assert done.computed == 30
    encode(embedder, changed, tmp_path / "whole", block=8, **settings)
    assert content(tmp_path / "base") == content(tmp_path / "whole")


class Interrupted(FakeEmbedder):
    """Stops after some batches."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def embed_prepared(self, prepared):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("stopped")
        return super().embed_prepared(prepared)


def test_it_goes_on_where_it_stopped_and_the_old_stays_until_then(tmp_path):
    items = passages(60)
    encode(FakeEmbedder(), items, tmp_path / "whole", block=8, max_tokens=60)
    write_index(tmp_path / "base", np.ones((1, 2)), ["old"])
    computed = 0
    for _ in range(40):
        try:
            computed += encode(Interrupted(7), items, tmp_path / "base", block=8, max_tokens=60).computed
            break
        except RuntimeError:
            assert list(load_index(tmp_path / "base").ids) == ["old"]
    assert 0 < computed < 60
    assert content(tmp_path / "base") == content(tmp_path / "whole")


def test_another_encoder_does_not_go_on_with_what_was_begun(tmp_path):
    items = passages(60)
    with pytest.raises(RuntimeError, match="stopped"):
        encode(Interrupted(9), items, tmp_path / "base", block=8, max_tokens=60)
    done = encode(FakeEmbedder(name="other"), items, tmp_path / "base", block=8, max_tokens=60)
    assert done.computed == 60


KILLED = """
    import os, random, signal, sys
    from tests.retrieval.fake_embedder import FakeEmbedder, passages
    from ofakit.retrieval import encode
    class Slow(FakeEmbedder):
        def embed_prepared(self, prepared):
            if random.random() < 0.05:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().embed_prepared(prepared)
    encode(Slow(), passages(300), sys.argv[1], block=16, max_tokens=60, dtype="float16")
"""


def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "base")]
    codes = []
    while not codes or codes[-1]:
        codes.append(subprocess.run(command, env=ENVIRONMENT).returncode)
        assert codes[-1] in (0, -signal.SIGKILL) and len(codes) < 60
    assert len(codes) > 2
    encode(FakeEmbedder(), passages(300), tmp_path / "whole", block=16, max_tokens=60, dtype="float16")
    assert content(tmp_path / "base") == content(tmp_path / "whole")


TWO = """
import sys
from pathlib import Path
from ofakit.processes import join_processes
from ofakit.retrieval import encode
from tests.retrieval.fake_embedder import FakeEmbedder, passages
folder = Path(sys.argv[1])
processes, embedder = join_processes("cpu"), FakeEmbedder()
done = encode(embedder, passages(70), folder / "two", block=8, processes=processes)
assert (done.computed, done.count) == (70, 70)
assert 0 < sum(map(len, embedder.batches)) < 70
assert encode(embedder, passages(70), folder / "two", block=8, processes=processes).computed == 0
"""


def test_two_processes_give_the_files_of_one(tmp_path):
    run_two(TWO, tmp_path)
    encode(FakeEmbedder(), passages(70), tmp_path / "one", block=8)
    assert content(tmp_path / "two") == content(tmp_path / "one")


@pytest.mark.parametrize("total", [1, 3, 12])
def test_shards_joined_are_the_whole(tmp_path, total):
    items = passages(70)
    for number in range(total):
        encode(FakeEmbedder(), items, tmp_path / f"shard{number}", block=8, shard=(number, total))
    merged = merge_indexes([tmp_path / f"shard{number}" for number in reversed(range(total))], tmp_path / "base")
    assert list(merged.ids) == [item.id for item in items]
    assert np.array_equal(merged.vectors[:], expected(items))
    if total > 1:
        with pytest.raises(
            UsageError, match=f"each of the shards 0/{total} to {total - 1}/{total} once, found 0/{total}"
        ):
            merge_indexes([tmp_path / "shard0"], tmp_path / "half")


@pytest.mark.parametrize("name", ["notes.txt", "notes.txt/base"])
def test_a_file_in_the_way_is_left_alone(tmp_path, name):
    (tmp_path / "notes.txt").write_text("mine")
    write_index(tmp_path / "shard", np.eye(2), ["a", "b"])
    for write in (
        lambda: encode(FakeEmbedder(), passages(5), tmp_path / name),
        lambda: merge_indexes([tmp_path / "shard"], tmp_path / name),
    ):
        with pytest.raises(UsageError, match=r"found the file .*notes.txt"):
            write()
    assert (tmp_path / "notes.txt").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for write in (
        lambda: encode(FakeEmbedder(), passages(5), tmp_path),
        lambda: write_index(tmp_path, np.eye(2), ["a", "b"]),
    ):
        with pytest.raises(UsageError, match="one that ofakit wrote; .* contains notes.txt"):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_one_command_encodes_into_a_directory_at_a_time(tmp_path):
    folder = tmp_path / "new" / "base.index"
    with pytest.raises(UsageError, match="another encoding into base.index is using .*new"):
        encode(FakeEmbedder(), passages(4), folder, progress=lambda *_: encode(FakeEmbedder(), passages(4), folder))
    assert encode(FakeEmbedder(), passages(4), folder).count == 4
    assert [path.name for path in folder.parent.iterdir()] == ["base.index"]


def test_a_shard_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(UsageError, match="expected a shard from 0/4 to 3/4, found 4/4"):
        encode(FakeEmbedder(), passages(5), tmp_path / "base", shard=(4, 4))


def with_images(folder, missing):
    items = []
    for number in range(40):
        path = folder / f"{number}.png"
        if number not in missing:
            path.write_bytes(bytes([number]))
        items.append(Passage(f"p{number}", image=path))
    return items


def test_bad_images_are_listed_and_the_others_encoded(tmp_path):
    items = with_images(tmp_path, missing={3, 17, 39})
    done = encode(FakeEmbedder(), items, tmp_path / "base", block=8)
    assert (done.count, done.errors) == (37, 3)
    kept = [item for number, item in enumerate(items) if number not in (3, 17, 39)]
    index = load_index(tmp_path / "base", verify=True)
    assert list(index.ids) == [item.id for item in kept] and np.array_equal(index.vectors[:], expected(kept))
    listed = [json.loads(line) for line in (tmp_path / "base/errors.jsonl").read_text().splitlines()]
    assert [row["id"] for row in listed] == ["p3", "p17", "p39"]
    assert listed[0]["kind"] == "bad image" and listed[0]["reason"].endswith("3.png: no such file")
    assert encode(FakeEmbedder(), items, tmp_path / "base", block=8).computed == 0


def test_too_many_bad_images_are_an_error_and_what_was_encoded_is_kept(tmp_path):
    items = with_images(tmp_path, missing={30, 31, 39})
    with pytest.raises(UsageError, match=r"2 of 40 items .*max_bad_fraction = 0.01.*'p31', .*31.png: no such file"):
        encode(FakeEmbedder(), items, tmp_path / "base", block=8, max_bad_fraction=0.01)
    assert encode(FakeEmbedder(), items, tmp_path / "base", block=8).computed < 40


def test_a_base_of_bad_images_alone_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"none of the 3 items could be encoded.* 'p0', .*0.png: no such file"):
        encode(FakeEmbedder(), with_images(tmp_path, missing=range(40))[:3], tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_empty_passages_are_left_out_and_counted(tmp_path):
    items = [Passage("a", "dog"), Passage("b", " \n"), Passage("c"), Passage("d", None, title="cat")]
    done = encode(FakeEmbedder(modalities=("text",)), [*items, Passage("e", image="e.png")], tmp_path / "base")
    assert (done.count, done.errors) == (2, 3) and list(load_index(tmp_path / "base").ids) == ["a", "d"]
    listed = [json.loads(line) for line in (tmp_path / "base/errors.jsonl").read_text().splitlines()]
    assert [(row["id"], row["kind"]) for row in listed] == [(name, "empty passage") for name in "bce"]


def test_a_vector_that_is_not_finite_names_its_passage(tmp_path):
    items = [*passages(20), Passage("bad", "nan")]
    with pytest.raises(ModelNotFinite, match="expected finite numbers in the vector of 'bad', found nan"):
        encode(FakeEmbedder(), items, tmp_path / "base", block=8)
    assert not (tmp_path / "base").exists()


def test_an_id_twice_is_told_before_anything_is_computed(tmp_path):
    embedder = FakeEmbedder()
    with pytest.raises(UsageError, match="items 3 and 11 share the id 'p2'"):
        encode(embedder, [*passages(10), Passage("p2", "x")], tmp_path / "base", block=4)
    assert not embedder.batches and not list(tmp_path.iterdir())


def test_a_full_disk_keeps_what_was_encoded(tmp_path):
    items = passages(600)
    with file_limit(5000), pytest.raises(SaveError, match="cannot save"):
        encode(FakeEmbedder(), items, tmp_path / "base", block=64)
    assert encode(FakeEmbedder(), items, tmp_path / "base", block=64).count == 600


@pytest.mark.parametrize("settings", [{"dtype": "int8"}, {"block": 0}, {"max_tokens": 0}, {"metric": "dot"}])
def test_what_is_out_of_range_is_refused(tmp_path, settings):
    with pytest.raises(UsageError, match="expected"):
        encode(FakeEmbedder(), passages(3), tmp_path / "base", **settings)


def test_progress_counts_up_to_all(tmp_path):
    calls = []
    encode(FakeEmbedder(), passages(30), tmp_path / "base", block=8, progress=lambda *call: calls.append(call))
    assert calls == sorted(calls) and calls[-1] == (30, 30)


def test_a_file_is_encoded_as_a_list_is(tmp_path):
    items = passages(50)
    lines = [json.dumps({"id": item.id, "text": item.text}) for item in items]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    for name, source in {"file": PassageFile(tmp_path / "p.jsonl"), "list": items}.items():
        encode(FakeEmbedder(), source, tmp_path / name, block=8)
    assert content(tmp_path / "file") == content(tmp_path / "list")

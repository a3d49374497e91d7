"""Several readers as one: their splits side by side, and no two examples of one name."""

import pytest
from ofakit.data import READERS
from ofakit.errors import UsageError


def test_joined_readers_share_splits(tmp_path, write):
    rows = [{"image": f"{i}.jpg", "humorous": f"h{i}", "romantic": f"r{i}"} for i in range(4)]
    for split in ("train", "val"):
        write(f"flickrstyle/{split}.jsonl", *rows)
    write("facts.jsonl", *({"image": f"{i}.jpg", "captions": ["f", "g"]} for i in range(6)))
    facts = {"type": "jsonl", "train": "facts.jsonl", "images": "flickr8k/images", "style": "factual"}
    reader = READERS.build({"type": "joined", "readers": [facts, {"type": "flickrstyle"}]}, root=tmp_path)
    assert reader.splits() == ["train", "val", "test"]
    examples = reader.read("train[:50%]")
    assert [e.style for e in examples] == ["factual"] * 3 + ["humorous", "romantic"] * 2
    assert {e.image for e in examples} == {str(tmp_path / f"flickr8k/images/{i}.jpg") for i in range(3)}
    assert {e.style for e in reader.read("val[-1:]")} == {"humorous", "romantic"}
    with pytest.raises(UsageError, match="id '0.jpg#humorous'"):
        reader.read("train+val[:1]")
    capitals = {**facts, "style": "Humorous"}
    reader = READERS.build({"type": "joined", "readers": [capitals, {"type": "flickrstyle"}]}, root=tmp_path)
    with pytest.raises(UsageError, match="id '0.jpg#humorous'"):
        reader.read("train")


def test_a_reader_may_have_a_root_of_its_own(tmp_path, write):
    for name in ("one", "other"):
        write(f"{name}/facts.jsonl", {"image": f"{name}.jpg", "text": name})
    facts = {"type": "jsonl", "train": "facts.jsonl"}
    spec = {"type": "joined", "readers": [facts, {**facts, "root": str(tmp_path / "other")}]}
    examples = READERS.build(spec, root=tmp_path / "one").read("train")
    assert [e.image for e in examples] == [str(tmp_path / name / f"{name}.jpg") for name in ("one", "other")]


def test_joined_readers_refuse_equal_ids_and_wrong_readers(tmp_path, write):
    write("facts.jsonl", {"image": "0.jpg", "captions": ["f"]})
    facts = {"type": "jsonl", "train": "facts.jsonl"}
    with pytest.raises(UsageError, match="id '0.jpg'.*give the examples of one reader their own style"):
        READERS.build({"type": "joined", "readers": [facts, facts]}, root=tmp_path).read("train")
    with pytest.raises(UsageError, match="did you mean 'jsonl'"):
        READERS.build({"type": "joined", "readers": [{**facts, "type": "jsonlines"}]}, root=tmp_path)
    with pytest.raises(UsageError, match="at least one reader"):
        READERS.build({"type": "joined", "readers": []}, root=tmp_path)
    with pytest.raises(UsageError, match="unknown split 'tset' in 'tset': available: train"):
        READERS.build({"type": "joined", "readers": [facts]}, root=tmp_path).read("tset")

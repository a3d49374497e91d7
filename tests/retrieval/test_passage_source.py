"""An index says where its passages come from, and whoever follows that gets them, or is told what is wrong."""

from __future__ import annotations

import json
import shutil

import pytest
from ofakit.config.load import parse_config
from ofakit.data.search_files import read_corpus
from ofakit.errors import UsageError
from ofakit.retrieval import append_vectors, encode, load_index, merge_indexes
from ofakit.retrieval.index_record import PassageSource
from ofakit.retrieval.passage_file import PassageFile
from ofakit.retrieval.passage_source import moved_source, open_passages, source_of_experiment, source_of_texts

from tests.retrieval.fake_embedder import FakeEmbedder

ROWS = [{"id": f"p{n}", "title": f"T{n}", "text": f"a dog {n}", "image": f"{n}.png"} for n in range(5)]


def written(folder, rows=ROWS):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "passages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "passages.jsonl"


def made(folder, texts, name="base.index", shard=None):
    """An index of the texts of a file."""
    source = source_of_texts(texts, folder / name)
    encode(FakeEmbedder(modalities=("text",)), PassageFile(texts), folder / name, passages=source, shard=shard, block=2)
    return folder / name


def passages_of(index):
    return list(open_passages(load_index(index).record.passages, index))


def experiment(root, **values):
    return parse_config({"data": {"root": str(root), **values.pop("data")}, **values})


def test_a_file_is_read_again_also_where_all_of_it_moved(tmp_path):
    texts = written(tmp_path / "before" / "data")
    index = made(tmp_path / "before", texts)
    assert passages_of(index) == list(PassageFile(texts))
    assert str(tmp_path) not in (index / "index.json").read_text()
    shutil.move(tmp_path / "before", tmp_path / "after")
    moved = passages_of(tmp_path / "after" / "base.index")
    assert moved == list(PassageFile(tmp_path / "after" / "data" / "passages.jsonl"))


def test_an_index_behind_a_link_finds_them(tmp_path):
    index = made(tmp_path / "deep" / "er", written(tmp_path / "deep" / "er"))
    (tmp_path / "link").symlink_to(index)
    assert [passage.id for passage in passages_of(tmp_path / "link")] == [row["id"] for row in ROWS]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda texts: texts.rename(texts.with_name("other")), "there is no such file"),
        (lambda texts: texts.write_text(texts.read_text() + "\n"), "expected .* bytes in .*, found"),
        (lambda texts: texts.write_text(texts.read_text().replace("dog", "cat")), "expected the checksum"),
    ],
)
def test_a_file_that_is_gone_or_changed_is_named_with_the_cure(tmp_path, change, words):
    index = made(tmp_path, texts := written(tmp_path))
    change(texts)
    with pytest.raises(
        UsageError, match=f"{words}.*of the index in {index} come from it.*--passages FILE.*--conf FILE"
    ):
        passages_of(index)


def test_the_same_command_says_where_they_are_now(tmp_path):
    """Vectors that are there already are not computed again."""
    made(tmp_path, texts := written(tmp_path / "before", [{"id": "p", "text": "a dog"}]))
    shutil.move(tmp_path / "before", tmp_path / "after")
    embedder, moved = FakeEmbedder(modalities=("text",)), tmp_path / "after" / texts.name
    encode(embedder, PassageFile(moved), tmp_path / "base.index", block=2,
           passages=source_of_texts(moved, tmp_path / "base.index"))  # fmt: skip
    assert not embedder.batches and passages_of(tmp_path / "base.index") == list(PassageFile(moved))


@pytest.mark.parametrize(
    "values",
    [
        {"data": {"reader": {"type": "scene_kb", "train": 2, "val": 1, "test": 1, "size": 16, "variants": 1}}},
        {"data": {"reader": {"type": "knowledge_base", "passages": "passages.jsonl"}}},
        {"data": {"reader": {"type": "knowledge_base", "passages": "passages.jsonl"}, "base_folder": "BASES"}},
        {"data": {"reader": {"type": "given", "passage_columns": {"title": "text"}}}, "corpus": "ROOT/passages.jsonl"},
    ],
    ids=["generated", "reader", "on disk", "corpus"],
)
def test_the_base_of_an_experiment_is_read_again(tmp_path, monkeypatch, values):
    written(tmp_path / "root")
    text = json.dumps(values).replace("ROOT", str(tmp_path / "root")).replace("BASES", str(tmp_path / "bases"))
    config = experiment(tmp_path / "root", **json.loads(text))
    expected = list(read_corpus(config))
    source = source_of_experiment(config, tmp_path / "base.index")
    assert str(tmp_path) not in source.model_dump_json() and source.files
    monkeypatch.chdir("/")
    assert list(open_passages(source, tmp_path / "base.index")) == expected
    assert type(open_passages(source, tmp_path / "base.index")) is type(read_corpus(config))


def test_a_base_whose_files_nobody_knows_is_found_too(tmp_path):
    (tmp_path / "captions.jsonl").write_text('{"image": "1.png", "caption": "a dog"}\n')
    reader = {"type": "jsonl", "test": "captions.jsonl"}
    config = experiment(tmp_path, data={"reader": {"type": "image_text", "reader": reader}})
    source = source_of_experiment(config, tmp_path / "base.index")
    assert not source.files and list(open_passages(source, tmp_path / "base.index")) == list(read_corpus(config))


def test_shards_that_are_joined_say_it_once(tmp_path):
    texts = written(tmp_path / "data")
    shards = [made(tmp_path / "shards", texts, f"s{n}", shard=(n, 2)) for n in range(2)]
    joined = merge_indexes(shards, tmp_path / "joined")
    assert joined.record.passages.texts == "../data/passages.jsonl"
    assert passages_of(tmp_path / "joined") == list(PassageFile(texts))


def test_passages_of_several_places_are_in_none(tmp_path):
    one = made(tmp_path, written(tmp_path / "one"), "a")
    other = made(tmp_path, written(tmp_path / "other", [{"id": "x", "text": "y"}]), "b")
    assert merge_indexes([one, other], tmp_path / "joined").record.passages is None
    append_vectors(one, load_index(other).vectors[:], ["x"], "fake-8")
    assert load_index(one).record.passages is None


def test_a_source_moves_with_all_its_paths(tmp_path):
    data = {"root": "../root", "base_folder": None, "reader": {"type": "given"}}
    source = PassageSource(experiment={"data": data, "corpus": "c.jsonl"}, files={})
    moved = moved_source(source, tmp_path / "a" / "b", tmp_path / "c")
    assert moved.experiment["data"] == {**data, "root": "../a/root"} and moved.experiment["corpus"] == "../a/b/c.jsonl"

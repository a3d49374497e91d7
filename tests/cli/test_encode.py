"""`tools/encode.py`: from texts to an index directory."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.cli.encode import main
from ofakit.data.passage import Passage
from ofakit.hub import load_retriever
from ofakit.inference import Embedder
from ofakit.retrieval import load_index
from ofakit.retrieval.passage_source import open_passages

WORDS = ["a dog runs", "the cat sleeps", "zebra", "birds sing"]
TEXTS = [{"id": f"t{n}", "text": text} for n, text in enumerate(WORDS)]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in TEXTS))
    return str(path)


@pytest.fixture
def encoder(shared):
    return str(shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer")


def answer(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_a_sentence_transformers_directory_encodes_texts(encoder, texts, tmp_path, capsys):
    out = tmp_path / "base.index"
    assert main(["--encoder", encoder, "--texts", texts, "--out", str(out)]) == 0
    found = answer(capsys)
    assert (found["count"], found["dimension"], found["errors"]) == (4, 32, 0) and found["texts_per_second"] > 0
    expected = Embedder(load_retriever(encoder)).embed([Passage(row["id"], row["text"]) for row in TEXTS])
    index = load_index(out)
    scores, ids = index.search(expected, 2)
    assert [row[0] for row in ids] == [row["id"] for row in TEXTS]
    np.testing.assert_allclose(scores[:, 0], 1, atol=1e-5)
    assert index.record.encoder["pooling"] == "mean" and index.metric == "ip"


def test_the_same_command_does_nothing_twice(encoder, texts, tmp_path, capsys):
    command = ["--encoder", encoder, "--texts", texts, "--out", str(tmp_path / "base.index"), "--dtype", "float16"]
    assert main(command) == 0
    before = (tmp_path / "base.index" / "vectors.npy").read_bytes()
    assert main(command) == 0
    assert answer(capsys)["texts_per_second"] == 0
    assert (tmp_path / "base.index" / "vectors.npy").read_bytes() == before


def test_a_base_on_disk_gives_the_same_vectors(encoder, texts, tmp_path, capsys):
    values = {"data": {"root": str(tmp_path), "reader": {"type": "knowledge_base", "passages": "texts.jsonl"}}}
    (tmp_path / "conf.json").write_text(json.dumps(values))
    command = ["--conf", str(tmp_path / "conf.json"), "--encoder", encoder, "--out"]
    assert main([*command, str(tmp_path / "memory")]) == 0
    assert main([*command, str(tmp_path / "disk"), "--set", f"data.base_folder={tmp_path / 'bases'}"]) == 0
    assert main(["--encoder", encoder, "--texts", texts, "--out", str(tmp_path / "file")]) == 0
    memory, disk, file = (content(tmp_path / name) for name in ("memory", "disk", "file"))
    assert memory == disk and (tmp_path / "bases").is_dir()
    assert file["vectors.npy"] == disk["vectors.npy"]


def content(folder):
    """The bytes of every file of an index, with what it says of its vectors, and not of where passages are."""
    record = load_index(folder).record.model_copy(update={"passages": None})
    return {**{path.name: path.read_bytes() for path in folder.iterdir()}, "index.json": record}


@pytest.mark.parametrize("of_a_file", [True, False])
def test_the_index_knows_its_passages(encoder, texts, tmp_path, of_a_file):
    values = {"data": {"root": str(tmp_path), "reader": {"type": "knowledge_base", "passages": "texts.jsonl"}}}
    (tmp_path / "conf.json").write_text(json.dumps(values))
    given, out = ["--texts", texts] if of_a_file else ["--conf", str(tmp_path / "conf.json")], tmp_path / "base.index"
    assert main([*given, "--encoder", encoder, "--out", str(out)]) == 0
    base = open_passages(load_index(out).record.passages, out)
    assert [(passage.id, passage.text) for passage in base] == [tuple(row.values()) for row in TEXTS]


def test_what_is_left_out_is_told(encoder, tmp_path, capsys):
    rows = [{"id": "a", "text": "a dog"}, {"id": "b", "text": " "}]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--encoder", encoder, "--texts", str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr()
    assert "1 of 2 were left out; " in printed.err and "errors.jsonl for the reasons" in printed.err
    assert json.loads(printed.out.splitlines()[-1])["errors"] == 1


def test_what_cannot_be_encoded_is_bad_usage(encoder, texts, tmp_path, capsys):
    out = str(tmp_path / "out")
    for arguments, message in (
        ([], "pass --encoder DIR and --texts FILE, or --conf FILE"),
        (["--encoder", encoder], "pass --encoder DIR and --texts FILE"),
        (["--encoder", encoder, "--texts", str(tmp_path / "none.jsonl")], "none.jsonl"),
        (["--encoder", encoder, "--texts", texts, "--shard", "2/2"], "--shard: expected I/N"),
        (["--encoder", encoder, "--texts", texts, "--modalities", "image"], "expected some of text to encode"),
        (["--encoder", str(tmp_path), "--texts", texts], "no tokenizer in"),
    ):
        assert main([*arguments, "--out", out]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

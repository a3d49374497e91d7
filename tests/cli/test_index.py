"""`tools/index.py`: build, join and check."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.cli.index import main
from ofakit.retrieval import load_index, write_index

VECTORS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)


@pytest.fixture
def base(tmp_path):
    write_index(tmp_path / "base.index", VECTORS, [f"p{n}" for n in range(40)], fingerprint="one", metric="cosine")
    return str(tmp_path / "base.index")


def answer(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_an_engine_is_built_and_searched_with(base, capsys):
    assert main(["--vectors", base, "--factory", "HNSW16"]) == 0
    found = answer(capsys)
    assert (found["engine"], found["factory"], found["metric"], found["count"]) == ("faiss", "HNSW16", "cosine", 40)
    _, ids = load_index(base).search(VECTORS, 1)
    assert [row[0] for row in ids] == [f"p{n}" for n in range(40)]
    assert main(["--vectors", base, "--engine", "exact"]) == 0
    assert answer(capsys)["engine"] == "exact"


def test_an_engine_that_there_is_none_of_is_bad_usage_and_leaves_the_index(base, capsys):
    assert main(["--vectors", base, "--engine", "fais"]) == 2
    assert "unknown index engine 'fais': did you mean 'faiss'" in capsys.readouterr().err
    assert load_index(base).search(VECTORS[:1], 1)[1][0, 0] == "p0"


def test_a_configuration_says_what_is_built(base, tmp_path, capsys):
    conf = tmp_path / "conf.json"
    section = {"index": {"engine": "faiss", "factory": "SQfp16"}}
    conf.write_text(json.dumps({"data": {"reader": {"type": "given"}}, "retrieval": section}))
    assert main(["--vectors", base, "--conf", str(conf)]) == 0
    assert answer(capsys)["factory"] == "SQfp16"
    assert main(["--vectors", base, "--conf", str(conf), "--factory", "Flat"]) == 0
    assert answer(capsys)["factory"] == "Flat"


def test_shards_are_joined(tmp_path, capsys):
    for number, rows in enumerate((slice(0, 15), slice(15, 40))):
        ids = [f"p{n}" for n in range(40)][rows]
        write_index(tmp_path / f"part{number}", VECTORS[rows], ids, fingerprint="one")
    parts = [str(tmp_path / f"part{number}") for number in (0, 1)]
    assert main(["--merge", *parts, "--out", str(tmp_path / "all")]) == 0
    assert answer(capsys)["count"] == 40
    _, ids = load_index(tmp_path / "all").search(VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True) * 99, 40)
    assert sorted(ids[0].tolist()) == sorted(f"p{n}" for n in range(40))


def test_a_damaged_directory_is_found(base, tmp_path, capsys):
    assert main(["--vectors", base, "--check"]) == 0
    path = tmp_path / "base.index" / "vectors.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    assert main(["--vectors", base, "--check"]) == 2
    assert "vectors.npy" in capsys.readouterr().err


def test_one_thing_is_to_be_asked_for(base, capsys):
    for arguments in ([], ["--vectors", base, "--out", "x"], ["--merge", base], ["--vectors", base, "--merge", base]):
        assert main(arguments) == 2
        assert "pass --vectors DIR to build or check an index, or --merge" in capsys.readouterr().err
    assert main(["--vectors", base, "--factory", "HNWS16"]) == 2
    assert "HNWS16" in capsys.readouterr().err

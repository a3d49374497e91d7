"""Milvus Lite in a folder; what a server would be given."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from ofakit.config.retrieval import IndexSection
from ofakit.errors import UsageError
from ofakit.retrieval.indexes import milvus
from ofakit.retrieval.indexes.milvus import MilvusIndex
from ofakit.retrieval.vector_files import Vectors

pytest.importorskip("milvus_lite")
ROWS = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
SETTINGS = IndexSection(engine="milvus", factory="FLAT", metric="l2")


@pytest.fixture
def folder(tmp_path):
    MilvusIndex.build(tmp_path, Vectors([ROWS]), SETTINGS)
    return tmp_path


def test_a_second_process_is_told_why_it_may_not(folder):
    index = MilvusIndex(folder, Vectors([ROWS]), SETTINGS)
    script = (
        "import sys\nfrom pathlib import Path\nfrom ofakit.retrieval.indexes.milvus import _connected\n"
        "try: _connected(Path(sys.argv[1]), None)\nexcept Exception as error: print(type(error).__name__, error)"
    )
    command = [sys.executable, "-c", script, str(folder)]
    refused = subprocess.run(command, capture_output=True, text=True, env=os.environ).stdout
    assert "UsageError cannot open" in refused and "one process at a time" in refused
    index.close()
    assert not subprocess.run(command, capture_output=True, text=True, env=os.environ).stdout


def test_a_collection_of_other_vectors_is_refused(folder):
    with pytest.raises(
        UsageError, match="expected 59 vectors in the collection ofakit_.* found 60. Build the index again"
    ):
        MilvusIndex(folder, Vectors([ROWS[:59]]), SETTINGS)
    (folder / "milvus.json").write_text(json.dumps({"collection": "ofakit_gone", "address": None}))
    with pytest.raises(UsageError, match="expected 60 vectors .* found 0"):
        MilvusIndex(folder, Vectors([ROWS]), SETTINGS)


def test_many_queries_and_too_many_hits(folder, monkeypatch):
    index = MilvusIndex(folder, Vectors([ROWS]), SETTINGS)
    whole = index.search(ROWS, 5)
    monkeypatch.setattr(milvus, "ROWS", 7)
    for one, other in zip(whole, index.search(ROWS, 5), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(UsageError, match="at most 16384 hits per query, found k = 16385"):
        index.search(ROWS, 16385)
    index.close()


@pytest.mark.parametrize(
    ("factory", "kind", "parameters"),
    [
        ("Flat", "FLAT", {}),
        ("autoindex", "AUTOINDEX", {}),
        ("HNSW32", "HNSW", {"M": 32, "efConstruction": 100}),
        ("IVF1024,Flat", "IVF_FLAT", {"nlist": 1024}),
        ("IVF1024_SQ8", "IVF_SQ8", {"nlist": 1024}),
        ("IVF1024_PQ48", "IVF_PQ", {"nlist": 1024, "m": 48, "nbits": 8}),
    ],
)
def test_factory_strings_name_types_of_milvus(factory, kind, parameters):
    assert milvus._index_type(IndexSection(engine="milvus", factory=factory)) == (kind, parameters)


@pytest.mark.parametrize("factory", ["HNSW", "IVF_SQ8", "SQfp16", ""])
def test_other_strings_are_refused(factory, tmp_path):
    with pytest.raises(UsageError, match="expected a type of index such as FLAT.* for Milvus, found"):
        MilvusIndex.build(tmp_path, Vectors([ROWS]), SETTINGS.model_copy(update={"factory": factory}))


class Server:
    """Remembers what a client of a server was asked for."""

    def __init__(self, address, token):
        self.address, self.token, self.dropped = address, token, []

    def drop_collection(self, name):
        self.dropped.append(name)

    def close(self):
        self.closed = True


def test_an_index_that_is_replaced_is_removed_from_its_server(tmp_path, monkeypatch):
    import pymilvus

    servers = []

    def client(*given, **more):
        servers.append(Server(*given, **more))
        return servers[-1]

    monkeypatch.setattr(pymilvus, "MilvusClient", client)
    monkeypatch.setenv("MILVUS_TOKEN", "user:secret")
    (tmp_path / "milvus.json").write_text(json.dumps({"collection": "ofakit_a", "address": "http://there:19530"}))
    MilvusIndex.discard(tmp_path)
    (server,) = servers
    assert (server.address, server.token, server.dropped) == ("http://there:19530", "user:secret", ["ofakit_a"])


def test_a_server_that_does_not_answer_is_named(tmp_path, monkeypatch):
    import pymilvus
    from pymilvus.exceptions import MilvusException

    def refuse(*_, **__):
        raise MilvusException(message="connection refused")

    monkeypatch.setattr(pymilvus, "MilvusClient", refuse)
    settings = SETTINGS.model_copy(update={"address": "http://there:19530"})
    with pytest.raises(UsageError, match="no Milvus server responds at http://there:19530: connection refused"):
        MilvusIndex.build(tmp_path, Vectors([ROWS]), settings)

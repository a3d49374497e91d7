"""Milvus, for a base that outgrows one machine: https://milvus.io/docs.

    {"retrieval": {"index": {"engine": "milvus", "factory": "HNSW32", "address": "http://milvus.example.org:19530"}}}

Without an address it is Milvus Lite, a database of one process in the folder of the index. A server gets the vectors
as a collection of their own; its token is taken from $MILVUS_TOKEN. `factory` names the type of the index and its size:
FLAT, HNSW32 (32 links), IVF1024_FLAT, IVF1024_SQ8, IVF1024_PQ48 (1024 lists, codes of 48 bytes) or AUTOINDEX. Needs
`pip install "ofakit[milvus]"`.
"""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.config.retrieval import IndexSection
from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.retrieval.indexes.base import IndexEngine
from ofakit.retrieval.vector_files import Vectors

__all__ = ["MilvusIndex"]

DATABASE, RECORD = "milvus.db", "milvus.json"
METRICS = {"ip": "IP", "cosine": "COSINE", "l2": "L2"}
ROWS = 2000
"""Vectors sent at once: 2000 of 4096 dimensions are half of what a message may have."""
MOST = 16384
"""Hits of a query that Milvus gives at most."""


class MilvusIndex(IndexEngine):
    """A collection of a Milvus server or of Milvus Lite.

    Args:
        folder: Has the database or says which collection of the server it is.
        vectors: Of the index directory.
        settings: `address`, `nprobe` and `ef_search` are taken as they are now; the rest is as the index was built.

    Raises:
        UsageError: pymilvus is missing, there is no server, another process has the database open, or the collection
            is gone or was changed.
    """

    def __init__(self, folder: Path, vectors: Vectors, settings: IndexSection) -> None:
        super().__init__(folder, vectors, settings)
        self.collection = read_json_file(folder / RECORD, "a record of Milvus")["collection"]
        self.client = _connected(folder, settings.address)
        self._check()

    @classmethod
    def build(cls, folder: Path, vectors: Vectors, settings: IndexSection) -> None:
        """Send all vectors to a new collection.

        Args:
            folder: Gets the database, or the name of the server's collection.
            vectors: Of the index directory.
            settings: With `factory`, `metric`, `address` and `ef_construction`.

        Raises:
            UsageError: Milvus does not know the type of index, pymilvus is missing, or there is no server.
        """
        kind, parameters = _index_type(settings)
        collection = f"ofakit_{uuid.uuid4().hex[:16]}"
        write_text(folder / RECORD, to_json({"collection": collection, "address": settings.address}))
        client = _connected(folder, settings.address)
        try:
            _create(client, collection, vectors.dimension, kind, METRICS[settings.metric], parameters)
            for start, block in vectors.blocks(ROWS):
                rows = np.asarray(block, np.float32)
                client.insert(collection, [{"position": start + n, "vector": row} for n, row in enumerate(rows)])
            client.flush(collection)
        finally:
            _disconnect(client, folder, settings.address)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest vectors.

        Args:
            queries: (n, d) float32, finite.
            k: From 1 to the number of vectors, and to 16384.

        Returns:
            Scores (n, k) float32, descending, and positions (n, k) int64; equal scores by position. Where the index
            finds fewer, the rest is -inf and -1.

        Raises:
            UsageError: More hits are asked for than Milvus gives.
        """
        if k > MOST:
            raise UsageError(f"Milvus returns at most {MOST} hits per query, found k = {k}")
        scores = np.full((len(queries), k), -np.inf, np.float32)
        positions = np.full((len(queries), k), -1, np.int64)
        looking = {"nprobe": self.settings.nprobe, "ef": max(self.settings.ef_search, k)}
        how = {"metric_type": METRICS[self.settings.metric], "params": looking}
        for first in range(0, len(queries), ROWS):
            answers = self.client.search(
                self.collection, data=list(queries[first : first + ROWS]), anns_field="vector", limit=k,
                output_fields=["position"], search_params=how,
            )  # fmt: skip
            for row, hits in enumerate(answers, start=first):
                found = [hit["distance"] for hit in hits]
                places = [hit["entity"]["position"] for hit in hits]
                values = np.asarray(found, np.float32) * (-1 if self.settings.metric == "l2" else 1)
                order = np.lexsort((places, -values))
                scores[row, : len(hits)], positions[row, : len(hits)] = values[order], np.asarray(places)[order]
        return scores, positions

    def close(self) -> None:
        """Let go of the database, so that another process may open it."""
        _disconnect(self.client, self.folder, self.settings.address)

    @classmethod
    def discard(cls, folder: Path) -> None:
        """Remove the collection from its server.

        Args:
            folder: Says which collection it is.

        Raises:
            UsageError: The server does not answer.
        """
        record = read_json_file(folder / RECORD, "a record of Milvus")
        if record["address"] is not None:
            client = _connected(folder, record["address"])
            client.drop_collection(record["collection"])
            client.close()

    def _check(self) -> None:
        """Refuse a collection that is not of these vectors."""
        there = self.client.has_collection(self.collection)
        count = self.client.get_collection_stats(self.collection)["row_count"] if there else 0
        if count != len(self.vectors):
            self.close()
            raise UsageError(
                f"expected {len(self.vectors)} vectors in the collection {self.collection} of "
                f"{self.settings.address or self.folder / DATABASE}, found {count}. Build the index again"
            )
        self.client.load_collection(self.collection)


def _index_type(settings: IndexSection) -> tuple[str, dict[str, int]]:
    """Milvus's name of an index and its parameters, from the factory string."""
    name = settings.factory.upper().replace(",", "_")
    if name in ("FLAT", "AUTOINDEX"):
        return name, {}
    if found := re.fullmatch(r"HNSW(\d+)", name):
        return "HNSW", {"M": int(found[1]), "efConstruction": settings.ef_construction}
    if found := re.fullmatch(r"IVF(\d+)_(FLAT|SQ8|PQ(\d+))", name):
        codes = {"m": int(found[3]), "nbits": 8} if found[3] else {}
        return f"IVF_{found[2].rstrip('0123456789') if found[3] else found[2]}", {"nlist": int(found[1]), **codes}
    raise UsageError(
        "expected a type of index such as FLAT, HNSW32, IVF1024_FLAT, IVF1024_SQ8, IVF1024_PQ48 or AUTOINDEX for "
        f"Milvus, found {settings.factory!r}",
        "factory",
    )


def _create(client: Any, collection: str, dimension: int, kind: str, metric: str, parameters: dict[str, int]) -> None:
    """An empty collection with its index."""
    from pymilvus import DataType, MilvusClient

    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("position", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
    indexes = MilvusClient.prepare_index_params()
    # Milvus Lite looks for the parameters below "params" only, where pymilvus does not put them by itself.
    indexes.add_index("vector", index_type=kind, metric_type=metric, params={"params": parameters})
    client.create_collection(collection, schema=schema, index_params=indexes, consistency_level="Strong")


def _connected(folder: Path, address: str | None) -> Any:
    """A client of the server, or of the database in the folder."""
    try:
        from pymilvus import MilvusClient
        from pymilvus.exceptions import MilvusException
    except ImportError as error:
        raise UsageError('the index engine milvus needs pymilvus: pip install "ofakit[milvus]"') from error
    try:
        if address is None:
            return MilvusClient(str(folder / DATABASE))
        return MilvusClient(address, token=os.environ.get("MILVUS_TOKEN", ""))
    except MilvusException as error:
        if address is None:
            raise UsageError(
                f"cannot open {folder / DATABASE}: {error.message}. Milvus Lite serves one process at "
                'a time: end the other one, or use a server (address). It needs pip install "ofakit[milvus]"'
            ) from error
        raise UsageError(f"no Milvus server responds at {address}: {error.message}") from error


def _disconnect(client: Any, folder: Path, address: str | None) -> None:
    """Close a client; the server that runs inside this process for Milvus Lite ends too and drops its lock."""
    client.close()
    if address is None:
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(str(folder / DATABASE))

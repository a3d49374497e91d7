"""A small captioner, a small retriever with an index, and a demo of both at a port of loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvicorn
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.hub import RetrievalBundle
from ofakit.inference import Captioner, Embedder
from ofakit.retrieval import encode, load_index
from ofakit.retrieval.passage_file import PassageFile
from ofakit.retrieval.passage_source import source_of_texts
from PIL import Image

from tests.models.encoders.kinds import KINDS
from tests.models.test_retriever import made
from tests.objectives.conftest import make_bundle

COLOURS = ("red", "blue", "green")


def captioner(**generation):
    return Captioner(make_bundle(), "cpu", generation={"num_beams": 2, **generation})


def retriever(kind="towers sum"):
    model, readings = made(encoder=KINDS[kind])
    return RetrievalBundle(model, readings, model_type="retriever")


def write_passages(folder: Path, rows=None) -> Path:
    """Passages with a text and an image each, as JSON lines beside their images."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows or [
        {"id": f"p-{colour}", "title": colour, "text": f"a {colour} flag", "image": f"{colour}.png"}
        for colour in COLOURS
    ]
    for colour in COLOURS:
        Image.new("RGB", (40, 30), colour).save(folder / f"{colour}.png")
    path = folder / "passages.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def encoded(folder: Path, bundle, rows=None, modalities=None) -> tuple[Path, KnowledgeBase]:
    """An index directory of passages, and the passages."""
    passages = PassageFile(write_passages(folder, rows))
    source = source_of_texts(passages.path, folder / "base.index")
    encode(Embedder(bundle, "passage", modalities, "cpu"), passages, folder / "base.index", passages=source)
    return folder / "base.index", KnowledgeBase(passages)


def passage_search(folder: Path, kind="towers sum", **given):
    from ofakit.demo import PassageSearch

    bundle = retriever(kind)
    index, base = encoded(folder, bundle, **given)
    return PassageSearch(bundle, {"base": load_index(index)}, {"base": base}, "cpu")


def write_png(path: Path, seed=0, size=(48, 36)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return path


@contextmanager
def served(app) -> Iterator[str]:
    """The application at a port of loopback, in a thread, and its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        app.state.let_go()
        server.should_exit = True
        thread.join()

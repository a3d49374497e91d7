"""A retriever of words and small images that trains in a second, on a base that is generated or written down."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from ofakit.config import parse_config
from PIL import Image

from tests.models.encoders.kinds import SMALL_TIMM
from tests.trainers.conftest import merged

TOWERS = {
    "type": "towers",
    "text": {"type": "bag", "width": 8, "vocabulary_size": 300},
    "image": {**SMALL_TIMM, "projection": 8},
}
SMALL = {
    "seed": 3,
    "task": "multimodal-retrieval",
    "data": {"reader": {"type": "scene_kb", "train": 4, "val": 2, "test": 2, "size": 32}},
    "model": {"config": {"encoder": TOWERS}},
    "objectives": [{"type": "contrastive", "query": ["text", "image"], "passage": ["text", "image"]}],
    "train": {
        "max_epochs": 2,
        "dataloader": {"batch_size_per_gpu": 8},
        "optimizer": {"lr": 1e-2},
        "hooks": [{"type": "MetricsFileHook", "interval": 1}],
    },
    "retrieval": {"metrics": ["mrr@100", "p@1", "hit@20"]},
}
PASSAGES = [
    {"id": "p0", "text": "a red flag with a star", "title": "Aland", "image": "red.png", "entity": "A"},
    {"id": "p1", "text": "its capital is Port", "title": "Aland", "image": "red.png", "entity": "A"},
    {"id": "p2", "text": "a blue flag", "title": "Bland", "image": "blue.png", "entity": "B"},
    {"id": "p3", "text": "its capital is Fort", "title": "Bland", "image": "blue.png", "entity": "B"},
    {"id": "p4", "text": "its capital is Fort", "title": "Bland", "image": "blue.png", "entity": "B"},
]
QUESTIONS = [
    {"id": "q0", "question": "what flag", "image": "red.png", "relevant": ["p0"], "answer": "a star"},
    {"id": "q1", "question": "its capital", "image": "red.png", "relevant": ["p1"], "answer": "Port"},
    {"id": "q2", "question": "what flag", "image": "blue.png", "relevant": ["p2"], "answer": "blue"},
    {"id": "q3", "question": "its capital", "image": "blue.png", "relevant": ["p3", "p4"], "answer": "Fort"},
]


def small_config(work_dir, data_root=None, **changes):
    """The configuration, with changes laid over it."""
    values = merged(copy.deepcopy(SMALL), changes)
    if data_root is not None:
        values["data"]["reader"].setdefault("root", str(data_root))
    return parse_config({"work_dir": str(work_dir), **values})


def write_base(folder: Path, questions=None, passages=None) -> dict:
    """A base in files; the section `data` that reads it, the questions of every split alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("red", "blue"):
        Image.new("RGB", (32, 32), name).save(folder / f"{name}.png")
    for name, rows in (("passages", passages or PASSAGES), ("questions", questions or QUESTIONS)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = {name: "questions.jsonl" for name in ("train", "val", "test")}
    reader = {"type": "knowledge_base", "passages": "passages.jsonl", **splits}
    return {"root": str(folder), "reader": reader, "max_bad_fraction": 0.5}


def base_config(folder: Path, questions=None, passages=None, **changes):
    """The configuration over a base in files."""
    values = merged(copy.deepcopy(SMALL), changes)
    values["data"] = {**write_base(folder / "base", questions, passages), **changes.get("data", {})}
    return parse_config({"work_dir": str(folder / "run"), **values})


def with_negatives(folder: Path, **changes):
    """A base in files whose questions have more hard negatives than an epoch draws, each scored by a teacher."""
    rows = []
    for row in QUESTIONS:
        negatives = [f"p{n}" for n in range(5) if f"p{n}" not in row["relevant"]]
        scores = {passage: float(len(negatives) - n) for n, passage in enumerate([*row["relevant"], *negatives])}
        rows.append({"query": row["id"], "positives": row["relevant"], "negatives": negatives, "scores": scores})
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "negatives.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    hooks = [{"type": "MetricsFileHook", "interval": 1}]
    hooks.append({"type": "SnapshotHook", "save_strategy": "by_step", "interval": 3})
    values = {
        "data": {"negatives": str(file), "teacher_scores": str(file)},
        "train": {"max_epochs": 4, "dataloader": {"batch_size_per_gpu": 2}, "hooks": hooks},
        "retrieval": {"hard_negatives": 1},
    }
    return base_config(folder, **merged(values, changes))

"""A run with every loss of retrieval, mined negatives and a teacher: logged by name, and resumed bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.cli.mine import main as mine
from ofakit.config import parse_config
from ofakit.trainers.state import latest_snapshot

from .conftest import Interrupt, trained, weights

WORDS = ["stone", "river", "boat", "house", "hill", "road", "lake", "tree", "field", "bridge", "tower", "mill"]
OBJECTIVES = [
    {"type": "contrastive", "loss": "clip", "temperature": 0.5},
    {"type": "contrastive", "name": "hard", "loss": "infonce", "hardness": 5.0, "groups": ["text"]},
    {"type": "margin_mse", "weight": 0.1},
    {"type": "kl_distillation", "weight": 0.1, "min_max": True},
    {"type": "joint_contrastive", "weight": 0.5, "query": ["text"], "passage": ["text"], "cross": ["text"]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A base of twelve words, a question about each, and what a ranking by chance takes for answers."""
    path = tmp_path_factory.mktemp("words")
    texts = [
        f"the {word} stands by the {WORDS[number - 3]} and the {WORDS[number - 5]}" for number, word in enumerate(WORDS)
    ]
    passages = [{"id": f"p{number}", "text": text} for number, text in enumerate(texts)]
    questions = [
        {"id": f"q{number}", "text": f"where is the {word} ?", "relevant": [f"p{number}"]}
        for number, word in enumerate(WORDS)
    ]
    run = [f"q{n} Q0 p{(n + 5 * rank) % 12} {rank + 1} {9 - rank} x" for n in range(12) for rank in range(5)]
    for name, rows in (("passages.jsonl", passages), ("questions.jsonl", questions)):
        (path / name).write_text("\n".join(map(json.dumps, rows)))
    (path / "run.trec").write_text("\n".join(run))
    arguments = {"corpus": "passages.jsonl", "queries": "questions.jsonl", "run": "run.trec", "out": "negatives.jsonl"}
    assert mine([part for key, name in arguments.items() for part in (f"--{key}", str(path / name))]) == 0
    return path


def config_of(folder, work_dir):
    reader = {"type": "knowledge_base", "passages": "passages.jsonl", "train": "questions.jsonl"}
    file = str(folder / "negatives.jsonl")
    return parse_config({
        "task": "multimodal-retrieval", "work_dir": str(work_dir), "seed": 3,
        "data": {"root": str(folder), "reader": reader, "negatives": file, "teacher_scores": file},
        "model": {"type": "retriever", "config": {"encoder": {"type": "bag", "width": 8, "vocabulary_size": 300}}},
        "objectives": OBJECTIVES,
        "train": {
            "max_epochs": 2, "gradient_accumulation": 2,
            "dataloader": {"batch_size_per_gpu": 2, "mixing": "proportional"},
            "optimizer": {"lr": 1e-2, "scale_lr": 0.05},
            "hooks": [{"type": "SnapshotHook", "save_strategy": "by_step", "interval": 2}],
        },
        "retrieval": {"searchers": {"dense": {"type": "dense"}}, "hard_negatives": 2},
    })  # fmt: skip


def test_losses_are_logged_by_name_and_interruptions_change_nothing(folder, tmp_path):
    whole = trained(config_of(folder, tmp_path / "whole"))
    logs = whole.step_logs
    shares = {"contrastive": 1, "hard": 1, "margin_mse": 0.1, "kl_distillation": 0.1, "joint_contrastive": 0.5}
    assert logs["loss"] == pytest.approx(sum(share * logs[f"{name}/loss"] for name, share in shares.items()), rel=1e-5)
    assert all(logs[f"{name}/loss"] > 0 for name in shares)
    assert (logs["margin_mse/triples"], logs["kl_distillation/lists"]) == (8, 4) and whole.iter == 6
    assert whole.model.logit_scale.item() != pytest.approx(0.693, abs=0.02)
    assert whole.model.joint_weights.tolist() != [0.5, 0.5]
    assert whole.bundle.objectives == ("contrastive", "margin_mse", "kl_distillation", "joint_contrastive")
    config = config_of(folder, tmp_path / "parts")
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(5)])
    parts = trained(config, str(latest_snapshot(Path(config.work_dir))))
    assert all(torch.equal(weights(parts)[name], value) for name, value in weights(whole).items())

"""A smaller model learns from a larger one, through the trainer: logged, resumed bit for bit, the teacher left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.cli import finetune
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.pipelines import Captioner
from ofakit.trainers.state import latest_snapshot
from safetensors import safe_open

from .conftest import Interrupt, trained, weights


@pytest.fixture
def teacher(experiment):
    """A model directory of a network wider than the student's."""
    trainer = trained(experiment("teacher", model={"config": {"d_model": 64}}))
    return str(Path(trainer.work_dir) / "output")


def student(experiment, name, teacher, **changes):
    objectives = [
        {"type": "cross_entropy", "weight": 0.4},
        {"type": "token_distillation", "teacher": teacher, "weight": 0.3, "temperature": 2.0},
        {"type": "sequence_distillation", "teacher": teacher, "weight": 0.3, "max_length": 8},
    ]
    return experiment(name, objectives=objectives, **changes)


def test_a_student_learns_and_an_interruption_changes_no_bit(experiment, teacher):
    whole = trained(student(experiment, "whole", teacher))
    work_dir = Path(whole.work_dir)
    lines = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    parts = {"cross_entropy": 0.4, "token_distillation": 0.3, "sequence_distillation": 0.3}
    total = sum(weight * lines[0][f"{name}/loss"] for name, weight in parts.items())
    assert lines[0]["loss"] == pytest.approx(total, rel=1e-4) and 0 <= lines[0]["token_distillation/agreement"] <= 1
    assert lines[-1]["token_distillation/loss"] < lines[0]["token_distillation/loss"]
    for stop_at in (2, 5):  # before the first snapshot, when the teacher's captions lie there already, and after it
        config = student(experiment, f"parts{stop_at}", teacher)
        with pytest.raises(KeyboardInterrupt):
            trained(config, callbacks=[Interrupt(stop_at)])
        written = (Path(config.work_dir) / "teacher_captions.jsonl").stat().st_mtime_ns
        snapshot = latest_snapshot(Path(config.work_dir))
        assert (snapshot is None) == (stop_at == 2)
        resumed = trained(config, None if snapshot is None else str(snapshot))
        assert written == (Path(config.work_dir) / "teacher_captions.jsonl").stat().st_mtime_ns
        assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())


def test_captions_are_the_teachers_and_it_is_in_no_snapshot(experiment, teacher):
    trainer = trained(student(experiment, "run", teacher, train={"max_epochs": 1}))
    work_dir = Path(trainer.work_dir)
    rows = [json.loads(line) for line in (work_dir / "teacher_captions.jsonl").read_text().splitlines()[1:]]
    examples = trainer.loading.training_examples
    assert [(row["image"], row["style"]) for row in rows] == list(
        dict.fromkeys((str(example.image), example.style) for example in examples)
    )
    assert len(rows) < len(examples)
    captioner = Captioner(load_bundle(teacher), "cpu", generation={"max_length": 8})
    found = captioner.caption([row["image"] for row in rows], [row["style"] for row in rows])
    assert [row["caption"] for row in rows] == [result.caption for result in found]
    with safe_open(latest_snapshot(work_dir) / "model.safetensors", "pt") as saved:
        width = saved.get_slice("encoder.layer_norm.weight").get_shape()
        assert width == [32] and not [name for name in saved.keys() if "teacher" in name]  # noqa: SIM118
    output = load_bundle(work_dir / "output")
    assert output.model.config.d_model == 32
    assert output.objectives == ("cross_entropy", "token_distillation", "sequence_distillation")


def test_alone_it_has_one_example_an_image_and_style(experiment, teacher):
    config = experiment(objectives=[{"type": "sequence_distillation", "teacher": teacher}], train={"max_epochs": 1})
    trainer = trained(config)
    assert len(trainer.loading.training_examples) == 3 * 4 and trainer.iters_per_epoch == 1


def test_a_student_with_a_vocabulary_of_its_own_is_refused_before_the_first_step(experiment, teacher):
    objectives = [{"type": "token_distillation", "teacher": teacher}]
    config = experiment(objectives=objectives, model={"tokenizer": {"train_vocab_size": 310}})
    with pytest.raises(UsageError, match="token .* in the student.*model.tokenizer.path"):
        trained(config)
    taught = experiment("taught", objectives=objectives, model={"tokenizer": {"path": teacher}})
    assert trained(taught).iter == 6


def test_a_missing_teacher_ends_with_2_and_its_name(experiment, tmp_path, capsys):
    config = experiment(objectives=[{"type": "token_distillation", "teacher": "./no/teacher"}])
    (tmp_path / "conf.json").write_text(config.model_dump_json())
    assert finetune.main(["--conf", str(tmp_path / "conf.json"), "--device", "cpu"]) == 2
    message = capsys.readouterr().err
    assert "./no/teacher" in message and "token_distillation" in message and "Traceback" not in message

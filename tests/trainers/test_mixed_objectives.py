"""Several objectives in one run: every component is logged, and neither workers nor an interruption change a bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.trainers import Trainer
from ofakit.trainers.state import latest_snapshot

from .conftest import Interrupt, trained, weights

MIXED = [
    {"type": "cross_entropy"},
    {"type": "mlm", "weight": 0.5},
    {"type": "style_mlm", "weight": 0.5},
    {"type": "itm", "weight": 0.6},
    {"type": "scst", "weight": 0.1, "samples": 2, "sample": True, "baseline": "group_normalized", "kl_weight": 0.1},
]


def test_components_are_logged_and_workers_and_interruptions_change_nothing(experiment):
    config = experiment("whole", objectives=MIXED)
    whole = weights(trained(config))
    lines = [json.loads(line) for line in (Path(config.work_dir) / "metrics.jsonl").read_text().splitlines()]
    expected = {"loss", "cross_entropy/loss", "mlm/loss", "style_mlm/nll", "itm/accuracy", "scst/reward/cider_d"}
    assert expected <= set(lines[0]) and 0 <= lines[0]["itm/accuracy"] <= 1
    shares = {"cross_entropy": 1.0, "mlm": 0.5, "style_mlm": 0.5, "itm": 0.6, "scst": 0.1}
    total = sum(weight * lines[0][f"{name}/loss"] for name, weight in shares.items())
    assert lines[0]["loss"] == pytest.approx(total, rel=1e-3)
    helped = weights(trained(experiment("helped", objectives=MIXED, train={"dataloader": {"workers_per_gpu": 2}})))
    assert all(torch.equal(whole[name], helped[name]) for name in whole)
    config = experiment("parts", objectives=MIXED)
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(5)])
    parts = weights(trained(config, str(latest_snapshot(Path(config.work_dir)))))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_scst_alone_has_one_example_an_image_and_style(experiment):
    data = [{"image": image, "captions": ["a dog", "the dog"], "style": "calm"} for image in ("a.png", "b.png")]
    objectives = [{"type": "scst", "samples": 2}]
    config = experiment(objectives=objectives, train={"dataloader": {"batch_size_per_gpu": 2}}, style={"mode": "none"})
    from PIL import Image

    for row in data:
        row["image"] = str(Path(config.work_dir).parent / row["image"])
        Image.new("RGB", (40, 40), "red").save(row["image"])
    trainer = Trainer(experiment=config, device="cpu", train_dataset=data, eval_dataset=data)
    trainer.train()
    assert trainer.iters_per_epoch == 1 and trainer.iter == 2
    assert [e.references for e in trainer.loading.training_examples] == [("a dog", "the dog")] * 2


def test_stages_are_not_ignored_by_a_trainer_of_one(experiment):
    config = experiment(stages=[{"name": "one"}])
    with pytest.raises(UsageError, match="stages"):
        Trainer(experiment=config, device="cpu").train()


NAMED = [
    {"type": "cross_entropy", "name": "smooth", "weight": 0.5},
    {"type": "cross_entropy", "label_smoothing": 0.0},
]


def test_two_of_one_type_are_logged_under_their_names(experiment):
    trainer = trained(experiment(objectives=NAMED, train={"max_steps": 1}))
    logs = trainer.step_logs
    assert logs["smooth/loss"] > logs["cross_entropy/loss"] > 0
    assert logs["loss"] == pytest.approx(0.5 * logs["smooth/loss"] + logs["cross_entropy/loss"], rel=1e-6)
    assert trainer.bundle.objectives == ("cross_entropy",)

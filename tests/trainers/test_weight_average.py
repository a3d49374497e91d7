"""The average of the weights is that of the formula; it is evaluated, kept, and resumed bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from modelscope.trainers.hooks.hook import Hook
from ofakit.config.schema import EmaSection
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.trainers import Trainer
from ofakit.trainers.state import latest_snapshot
from ofakit.trainers.weight_average import WeightAverage
from torch import nn

from tests.trainers.conftest import Interrupt, trained, weights

HOOKS = [
    {"type": "EvaluationHook", "interval": 1},
    {"type": "BestSnapshotHook"},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 3},
]


def test_the_average_follows_the_formula_from_its_step_on():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    average = WeightAverage(layer, EmaSection(decay=0.9, after=2))
    generator, expected = torch.Generator().manual_seed(0), None
    for step in range(1, 6):
        with torch.no_grad():
            layer.weight.copy_(torch.randn(2, 3, generator=generator))
        average.follow(step)
        expected = layer.weight.detach().clone() if step <= 2 else 0.9 * expected + 0.1 * layer.weight.detach()
        torch.testing.assert_close(average.state_dict()["weight"], expected)
    assert average.state_dict().keys() == {"weight"}
    own = layer.weight.detach().clone()
    with pytest.raises(KeyError), average.in_place():
        torch.testing.assert_close(layer.weight, expected)
        raise KeyError
    assert torch.equal(layer.weight, own)


class Averages(Hook):
    """Reckons the average beside the trainer's."""

    def __init__(self, decay):
        self.decay, self.found = decay, None

    def after_train_iter(self, trainer):
        now = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
        before = now if self.found is None else self.found
        self.found = {name: torch.lerp(before[name], value, 1 - self.decay) for name, value in now.items()}


def test_the_average_is_what_is_evaluated_and_kept(experiment, monkeypatch):
    by_hand, seen = Averages(0.5), []
    config = experiment(train={"hooks": HOOKS, "ema": {"decay": 0.5, "after": 1}})
    trainer = Trainer(experiment=config, device="cpu", callbacks=[by_hand])
    evaluate = trainer.task.evaluate

    def noted(bundle, *others):
        seen.append(bundle.model.output_embedding.detach().clone())
        return evaluate(bundle, *others)

    monkeypatch.setattr(trainer.task, "evaluate", noted)
    trainer.train()
    kept = load_bundle(Path(trainer.work_dir) / "output").model.state_dict()
    for name, value in by_hand.found.items():
        torch.testing.assert_close(kept[name], value)
    name = "encoder.embed_tokens.weight"
    assert torch.equal(seen[-1], kept[name]) and not torch.equal(kept[name], weights(trainer)[name])
    assert torch.equal(
        kept["encoder.embed_images.bn1.running_mean"], trainer.model.encoder.embed_images.bn1.running_mean
    )
    best = load_bundle(Path(trainer.work_dir) / "best").model.state_dict()[name]
    assert any(torch.equal(best, value) for value in seen)


def test_a_resumed_average_is_that_of_an_uninterrupted_run(experiment):
    changes = {"train": {"ema": {"decay": 0.75, "after": 2}, "hooks": HOOKS[2:]}}
    whole = trained(experiment("whole", **changes))
    config = experiment("parts", **changes)
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(4)])
    snapshot = str(latest_snapshot(Path(config.work_dir)))
    resumed = trained(config, checkpoint=snapshot)
    for name, value in whole.average.state_dict().items():
        assert torch.equal(resumed.average.state_dict()[name], value), name
    with pytest.raises(UsageError, match=r"train.ema = \{'decay': 0.75, 'after': 2\}, found None now"):
        trained(experiment("parts", train={"hooks": HOOKS[2:]}), checkpoint=snapshot)


def test_a_step_that_is_skipped_is_no_step_of_the_average(experiment, monkeypatch):
    trainer = trained(experiment(train={"max_steps": 1, "ema": {"decay": 0.5}}))
    before = {name: value.clone() for name, value in trainer.average.state_dict().items()}
    batches = next(iter(trainer.loading.steps(0, 0)))
    monkeypatch.setattr(trainer.updater, "_gradient_norm", lambda: float("nan"))
    trainer.train_step(trainer.model, batches)
    assert trainer.step_is_skipped
    assert all(torch.equal(value, before[name]) for name, value in trainer.average.state_dict().items())


def test_weights_of_a_checkpoint_are_evaluated_as_they_are(experiment):
    trainer = trained(experiment(train={"ema": {"decay": 0.5}}))
    folder = Path(trainer.work_dir) / "output"
    kept = load_bundle(folder).model.output_embedding
    trainer.evaluate(str(folder))
    assert torch.equal(trainer.model.output_embedding, kept)
    assert trainer.average is None

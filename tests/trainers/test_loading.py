"""What a run shows its model: images cut by chance in training, at the centre in evaluation, normalised as told."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ofakit.data import GroupedBatchSampler, load_square
from ofakit.errors import UsageError
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.preprocessors import normalize
from ofakit.processes import Processes
from ofakit.trainers import Trainer
from ofakit.trainers import trainer as trainer_module
from ofakit.trainers.state import latest_snapshot

from .conftest import Interrupt, trained, weights


def images_of(batches):
    return {int(i): image for batch in batches for i, image in zip(batch["index"], batch["patch_images"], strict=True)}


def test_evaluation_sees_the_centre_and_training_another_cut_in_every_epoch(experiment):
    trainer = Trainer(experiment=experiment(preprocessor={"horizontal_flip": True}), device="cpu")
    usable, batches = trainer.loading.evaluation(trainer.examples["train"])
    centres = images_of(batches)
    assert len(centres) == len(usable) == len(trainer.examples["train"])
    for index, image in centres.items():
        whole = load_square(usable[index].image, 40)
        np.testing.assert_array_equal(image.permute(1, 2, 0), whole[4:36, 4:36])
    trainer.loading.prepare_training(trainer.examples["train"])
    one, again, other = (
        images_of(batch for batches in trainer.loading.steps(epoch, 0) for batch in batches) for epoch in (0, 0, 1)
    )
    assert len(one) > 8 and all(torch.equal(again[index], image) for index, image in one.items())
    assert sum(not torch.equal(other[index], image) for index, image in one.items()) > len(one) / 2


@pytest.mark.parametrize("mean_std", ["half", "imagenet"])
def test_training_normalises_images_as_configured(experiment, mean_std):
    config = experiment(
        preprocessor={"mean_std": mean_std},
        model={"config": {"dropout": 0.0}},
        train={"max_steps": 1, "gradient_accumulation": 1, "hooks": [{"type": "MetricsFileHook"}]},
    )
    trainer = Trainer(experiment=config, device="cpu")
    model = copy.deepcopy(trainer.model).train()
    trainer.train()
    batch = next(trainer.loading.steps(0, 0))[0]
    batch = {**batch, "patch_images": normalize(batch["patch_images"], mean_std)}
    loss, _ = CrossEntropy()(model, batch, CrossEntropy().normalizer(batch), 0)
    assert trainer.step_logs["loss"] == pytest.approx(loss.item(), abs=1e-6)


def test_processes_start_from_one_model_and_draw_their_own_dropout(experiment, monkeypatch):
    drawn = []
    for rank in (0, 1):
        monkeypatch.setattr(
            trainer_module, "join_processes", lambda *_, rank=rank: Processes(rank, 2, torch.device("cpu"))
        )
        model = Trainer(experiment=experiment(), device="cpu").model
        drawn.append((model.output_embedding, torch.rand(4)))
    (one, chance), (other, other_chance) = drawn
    assert torch.equal(one, other) and not torch.equal(chance, other_chance)


def grouped_examples(experiment, names=("a", "b", "b", "b")):
    """The training examples of the scenes, of groups of different size."""
    examples = Trainer(experiment=experiment("reading"), device="cpu").examples["train"]
    return [replace(example, group=names[number % len(names)]) for number, example in enumerate(examples)]


class TestMixing:
    DATALOADER = {"mixing": "balanced", "batch_size_per_gpu": 2}

    def test_each_step_is_of_one_group_and_interruptions_change_nothing(self, experiment):
        examples = grouped_examples(experiment)
        train = {"dataloader": self.DATALOADER, "gradient_accumulation": 2, "max_epochs": 1}
        whole = trained(experiment("whole", train=train), train_dataset=examples)
        assert isinstance(whole.loading.sampler, GroupedBatchSampler)
        known = whole.loading.training_examples
        steps = [
            {known[index].group for batch in batches for index in batch["index"].tolist()}
            for batches in whole.loading.steps(0, 0)
        ]
        assert len(steps) == whole.iter == whole.iters_per_epoch and sorted(map(tuple, steps[:2])) == [("a",), ("b",)]
        assert steps.count({"a"}) == steps.count({"b"}) == len(steps) / 2
        config = experiment("parts", train=train)
        with pytest.raises(KeyboardInterrupt):
            trained(config, train_dataset=examples, callbacks=[Interrupt(5)])
        snapshot = str(latest_snapshot(Path(config.work_dir)))
        parts = trained(config, snapshot, train_dataset=examples)
        assert all(torch.equal(weights(parts)[name], value) for name, value in weights(whole).items())

    def test_examples_without_groups_are_refused(self, experiment):
        with pytest.raises(UsageError, match="a group for every example.*without one; set it to null"):
            trained(experiment(train={"dataloader": self.DATALOADER}))

    @pytest.mark.parametrize(
        ("groups", "mixing", "message"),
        [
            ([("a",)], "balanced", "no objective learns from the group 'b'"),
            (
                [("a", "c"), ("b",)],
                "balanced",
                "objective 'first': there are no examples of the group 'c'; available: a, b",
            ),
            ([("a",), ("b",)], None, "'first' learns from groups, a; set mixing to balanced"),
            ([("a",), None], "balanced", None),
            ([("a",), ("b",)], "proportional", None),
        ],
    )
    def test_objectives_and_groups_must_fit(self, experiment, groups, mixing, message):
        config = experiment(train={"dataloader": {"mixing": mixing}})
        trainer = Trainer(experiment=config, device="cpu", train_dataset=grouped_examples(experiment))
        objectives = {}
        for name, of_objective in zip(("first", "second"), groups, strict=False):
            objectives[name] = CrossEntropy()
            objectives[name].groups = of_objective
        if message is None:
            trainer.loading.prepare_training(trainer.examples["train"], objectives)
            return
        with pytest.raises(UsageError, match=message):
            trainer.loading.prepare_training(trainer.examples["train"], objectives)

"""What a run shows its model: images cut by chance in training, at the centre in evaluation, normalised as told."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from ofakit.data import load_square
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.preprocessors import normalize
from ofakit.processes import Processes
from ofakit.trainers import Trainer
from ofakit.trainers import trainer as trainer_module


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
            trainer_module, "join_processes", lambda _, rank=rank: Processes(rank, 2, torch.device("cpu"))
        )
        model = Trainer(experiment=experiment(), device="cpu").model
        drawn.append((model.output_embedding, torch.rand(4)))
    (one, chance), (other, other_chance) = drawn
    assert torch.equal(one, other) and not torch.equal(chance, other_chance)

"""Every key of the optimizer and of the schedule reaches a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.config.schema import OptimizerSection
from ofakit.errors import UsageError
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.trainers.optimization import build_optimizer

from .conftest import trained


def test_optimizer_and_schedule_are_those_of_the_configuration(experiment):
    optimizer = {"lr": 1e-3, "betas": (0.8, 0.95), "eps": 1e-5, "weight_decay": 0.3, "lr_scales": {"visual": 0.25}}
    schedule = {"name": "polynomial_decay", "warmup_steps": 2, "lr_end": 1e-4, "power": 2.0}
    trainer = trained(
        experiment(train={"max_steps": 5, "freeze": ["embeddings"], "optimizer": optimizer, "lr_scheduler": schedule})
    )
    rest, visual = trainer.optimizer.param_groups
    names = {id(weight): name for name, weight in trainer.model.named_parameters() if weight.requires_grad}
    backbone = {name for name in names.values() if name.startswith("encoder.embed_images.")}
    assert backbone == {names[id(weight)] for weight in visual["params"]}
    assert {*names.values()} - backbone == {names[id(weight)] for weight in rest["params"]} and backbone
    for group, peak in ((rest, 1e-3), (visual, 0.25e-3)):
        assert group["initial_lr"] == pytest.approx(peak) and group["weight_decay"] == 0.3
        assert (group["betas"], group["eps"]) == ((0.8, 0.95), 1e-5)
    lines = (Path(trainer.work_dir) / "metrics.jsonl").read_text().splitlines()
    decay = [(1e-3 - 1e-4) * (1 - step / 3) ** 2 + 1e-4 for step in range(3)]
    assert [json.loads(line)["lr"] for line in lines] == pytest.approx([0, 0.5e-3, *decay])


SMALL = {
    "vocab_size": 40, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "use_image_feature": False,
}  # fmt: skip


@pytest.mark.parametrize(("scale_lr", "wanted"), [(0.02, 0.02), (None, 1e-3)])
def test_what_belongs_to_a_loss_has_a_learning_rate_of_its_own_and_no_decay(scale_lr, wanted):
    model = OFAModel(OFAConfig(**SMALL))
    model.logit_scale, model.frozen_scale = (torch.nn.Parameter(torch.zeros(())) for _ in range(2))
    model.frozen_scale.requires_grad_(False)
    section = OptimizerSection(lr=1e-3, weight_decay=0.3, scale_lr=scale_lr)
    names = ["logit_scale", "logit_scale", "frozen_scale", "joint_weights"]
    rest, scales = build_optimizer(model, section, names).param_groups
    assert [id(weight) for weight in scales["params"]] == [id(model.logit_scale)]
    assert (scales["lr"], scales["weight_decay"], rest["lr"], rest["weight_decay"]) == (wanted, 0.0, 1e-3, 0.3)
    learnt = sum(weight.requires_grad for weight in model.parameters())
    assert len(rest["params"]) == learnt - 1


def test_parts_have_learning_rates_of_their_own_and_the_first_has_what_they_share():
    model = OFAModel(OFAConfig(**{**SMALL, "use_image_feature": True, "resnet_type": "resnet50"}))
    model.freeze(["embeddings"])
    section = OptimizerSection(lr=1e-3, lr_scales={"visual": 0.5, "embeddings": 3.0, "encoder": 0.1})
    rest, visual, encoder = build_optimizer(model, section).param_groups
    assert [round(group["lr"], 9) for group in (rest, visual, encoder)] == [1e-3, 5e-4, 1e-4]
    names = {id(weight): name for name, weight in model.named_parameters()}
    found = [{names[id(weight)] for weight in group["params"]} for group in (rest, visual, encoder)]
    assert not any(name.startswith("encoder.") for name in found[0]) and found[0]
    assert all(name.startswith("encoder.embed_images.") for name in found[1]) and found[1]
    assert all(name.startswith("encoder.") for name in found[2]) and not found[1] & found[2] and found[2]
    assert sum(map(len, found)) == sum(weight.requires_grad for weight in model.parameters())


def test_a_learning_rate_of_no_part_is_refused():
    with pytest.raises(UsageError, match=r"no part 'encodr': did you mean 'encoder'"):
        build_optimizer(OFAModel(OFAConfig(**SMALL)), OptimizerSection(lr_scales={"encodr": 0.5}))

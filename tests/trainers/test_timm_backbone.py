"""A captioner that sees through a network of timm is trained, resumed, evaluated and used as any other."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import timm
import torch
from ofakit.cli import checkpoint as checkpoint_tool
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.inference import Captioner
from ofakit.models.timm_backbone import TimmBackbone
from ofakit.trainers import Trainer
from ofakit.trainers.state import latest_snapshot
from safetensors.torch import save_file

from .conftest import Interrupt, trained, weights

BACKBONE = {"name": "test_efficientnet", "out_indices": [3, 4], "mean_std": "half"}
CROPS = {"crops": 2, "horizontal_flip": True}


def assert_bit_equal(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def losses(trainer):
    lines = [json.loads(line) for line in (Path(trainer.work_dir) / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture
def runs(monkeypatch):
    """How many images the network has seen."""
    seen = []
    maps = TimmBackbone._maps
    monkeypatch.setattr(TimmBackbone, "_maps", lambda self, images: seen.append(len(images)) or maps(self, images))
    return seen


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_interrupted_and_resumed_equals_uninterrupted(experiment, precision):
    changes = {
        "model": {"backbone": {**BACKBONE, "frozen_norms": precision == "bf16"}},
        "train": {"precision": precision},
    }
    whole = trained(experiment("whole", **changes))
    assert any(not torch.equal(value, whole_value) for value, whole_value in _moved(experiment, changes, whole))
    config = experiment("parts", **changes)
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(4)])
    torch.manual_seed(999)
    resumed = trained(config, str(latest_snapshot(Path(config.work_dir))))
    assert_bit_equal(weights(resumed), weights(whole))


def _moved(experiment, changes, whole):
    """The weights of the backbone before and after training."""
    start = Trainer(experiment=experiment("start", **changes), device="cpu").model.encoder.embed_images
    return zip(start.parameters(), whole.model.encoder.embed_images.parameters(), strict=True)


def test_kept_features_give_the_numbers_of_a_network_that_runs_each_time(experiment, tmp_path, runs):
    base = {"model": {"backbone": {**BACKBONE, "frozen": True}}, "preprocessor": CROPS, "train": {"max_epochs": 4}}
    plain = trained(experiment("plain", **base))
    counted = len(runs)
    kept = {"backbone": {**BACKBONE, "frozen": True, "feature_store": str(tmp_path / "features")}}
    first = trained(experiment("first", **{**base, "model": kept}))
    assert losses(first) == pytest.approx(losses(plain), rel=1e-4)
    images = len({path for example in first.loading.training_examples for path in example.image_paths})
    assert images < sum(runs[counted:]) - 1 <= 4 * images  # two cuts, each in two ways, and one to find the shape
    assert_bit_equal(dict(first.model.encoder.embed_images.named_parameters()), _weights_of_backbone(plain))
    counted = len(runs)
    again = trained(experiment("again", **{**base, "model": kept}))
    assert len(runs) == counted + 1  # an epoch does not run it
    assert_bit_equal(weights(again), weights(first))


def _weights_of_backbone(trainer):
    return dict(trainer.model.encoder.embed_images.named_parameters())


def test_with_kept_features_interrupted_and_resumed_equals_uninterrupted(experiment, tmp_path):
    def changes(folder):
        backbone = {**BACKBONE, "frozen": True, "feature_store": str(tmp_path / folder), "feature_dtype": "float16"}
        return {"model": {"backbone": backbone}, "preprocessor": CROPS, "train": {"precision": "bf16"}}

    whole = trained(experiment("whole", **changes("one")))
    config = experiment("parts", **changes("two"))
    with pytest.raises(KeyboardInterrupt):
        trained(config, callbacks=[Interrupt(4)])
    resumed = trained(config, str(latest_snapshot(Path(config.work_dir))))
    assert_bit_equal(weights(resumed), weights(whole))


def test_weights_of_a_file_are_what_it_starts_from_and_a_directory_keeps(experiment, tmp_path):
    torch.manual_seed(5)
    donor = timm.create_model("test_efficientnet").state_dict()
    save_file(donor, tmp_path / "weights.safetensors")
    backbone = {**BACKBONE, "weights": str(tmp_path / "weights.safetensors"), "frozen": True}
    trainer = trained(experiment(model={"backbone": backbone}))
    (tmp_path / "weights.safetensors").unlink()
    bundle = load_bundle(Path(trainer.work_dir) / "output")
    found = bundle.model.encoder.embed_images.network.state_dict()
    assert found and all(torch.equal(value, donor[name]) for name, value in found.items())
    scores = trainer.evaluate(split="test")
    assert math.isfinite(scores["cider"])
    image = next(iter(trainer.examples["test"])).image
    written, again = (Captioner(made).caption([image], ["pirate"])[0] for made in (bundle, trainer.bundle))
    assert written.caption == again.caption and written.score == pytest.approx(again.score, abs=1e-5)


def test_it_is_converted_to_ours_and_refused_by_name_to_others(experiment, tmp_path, capsys):
    output = str(Path(trained(experiment(model={"backbone": BACKBONE})).work_dir) / "output")
    assert checkpoint_tool.main(["convert", output, str(tmp_path / "ours"), "--to", "ofakit"]) == 0
    assert load_bundle(tmp_path / "ours").model.config.backbone == load_bundle(output).model.config.backbone
    assert checkpoint_tool.main(["average", output, output, "--out", str(tmp_path / "mean")]) == 0
    assert checkpoint_tool.main(["inspect", output]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["config"]["backbone"]["name"] == "test_efficientnet"
    for form, out in (("plain", "plain"), ("huggingface", "hf"), ("fairseq", "ofa.pt")):
        arguments = ["--style", "pirate"] if form == "plain" else []
        assert checkpoint_tool.main(["convert", output, str(tmp_path / out), "--to", form, *arguments]) == 2
        assert "with the timm backbone test_efficientnet cannot be written" in capsys.readouterr().err
        assert not (tmp_path / out).exists()


def test_later_trainings_start_from_its_directory_with_what_they_say_of_training(experiment, tmp_path, runs):
    first = trained(experiment("first", model={"backbone": BACKBONE}))
    backbone = {**BACKBONE, "weights": "of/nothing", "frozen": True, "feature_store": str(tmp_path / "features")}
    path = str(Path(first.work_dir) / "output")
    objectives = [
        {"type": "scst", "samples": 2, "train_mode": False, "rewards": [{"type": "cider_d"}]},
        {"type": "itm"},
        {"type": "style_mlm"},
    ]
    base = {"preprocessor": CROPS, "train": {"max_epochs": 1}, "objectives": objectives}
    second = trained(experiment("second", model={"path": path, "backbone": backbone}, **base))
    assert_bit_equal(_weights_of_backbone(second), _weights_of_backbone(first))
    assert (tmp_path / "features").exists()
    with pytest.raises(UsageError, match="expected the model's own backbone, .*test_efficientnet.*, found .*resnet"):
        Trainer(experiment=experiment(model={"path": path, "backbone": {"name": "test_resnet"}}), device="cpu")
    plain = trained(experiment("plain", train={"max_epochs": 1}))
    with pytest.raises(UsageError, match="the model's own backbone, OFA's own ResNet, found"):
        path = str(Path(plain.work_dir) / "output")
        Trainer(experiment=experiment(model={"path": path, "backbone": BACKBONE}), device="cpu")


def test_teacher_and_student_may_see_through_different_eyes(experiment):
    models = {"own": {}, "timm": {"backbone": BACKBONE}, "imagenet": {"backbone": {**BACKBONE, "mean_std": "imagenet"}}}
    teachers = {
        name: trained(experiment(f"teacher_{name}", model=model, train={"max_epochs": 1}))
        for name, model in models.items()
    }
    folders = {name: str(Path(trainer.work_dir) / "output") for name, trainer in teachers.items()}

    def student(teacher, **model):
        tokenizer = {"path": folders[teacher], "train_vocab_size": None}
        objective = {"type": "token_distillation", "teacher": folders[teacher]}
        return experiment(
            f"student_{teacher}_{len(model)}", model={"tokenizer": tokenizer, **model},
            objectives=[objective], train={"max_epochs": 1},
        )  # fmt: skip

    for teacher, model in (("own", {"backbone": BACKBONE}), ("timm", {}), ("imagenet", {"backbone": BACKBONE})):
        assert all(math.isfinite(loss) for loss in losses(trained(student(teacher, **model))))
    with pytest.raises(UsageError, match="normalises images itself, unlike the student's 'half'"):
        trained(student("imagenet"))


def test_another_kind_of_model_takes_no_backbone(experiment):
    with pytest.raises(UsageError, match="model.backbone is for captioners; the encoders of a retriever"):
        from ofakit.config.schema import ModelSection
        from ofakit.models.types import MODELS

        MODELS.build({"type": "retriever"}).tokenizer(ModelSection(backbone=BACKBONE), [])

"""VL-T5 and VL-BART with a network of timm inside: captioned from pixels, rewarded, continued, and as a retriever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.cli import caption
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.inference.embedder import Embedder
from ofakit.trainers import Trainer

from tests.tasks.small_retrieval import QUESTIONS, base_config, small_config
from tests.trainers.conftest import trained

BACKBONE = {"name": "test_resnet"}
NETWORK = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64,
}  # fmt: skip


@pytest.fixture
def seeing(experiment):
    """Makes the configuration of a VL-BART that sees pixels."""

    def make(name="run", backbone=BACKBONE, **changes):
        config = experiment(name, train={"max_epochs": 1, "gradient_accumulation": 1, **changes.pop("train", {})})
        values = config.model_dump(mode="json", exclude_unset=True)
        values["model"] = {
            "type": "vl", "backbone": backbone, "config": NETWORK, "tokenizer": values["model"]["tokenizer"],
            **changes.pop("model", {}),
        }  # fmt: skip
        return type(config)(**{**values, **changes})

    return make


def test_it_captions_images_that_no_run_has_seen_and_is_trained_on(seeing, tmp_path, capsys):
    run = trained(seeing(train={"max_steps": 2}))
    begun = {name: value.clone() for name, value in run.model.backbone.state_dict().items()}
    (image,) = sorted(Path(run.experiment.data.reader.model_extra["root"]).rglob("test_0*.png"))[:1] or [None]
    assert caption.main(["--model", str(Path(run.work_dir) / "output"), "--image", str(image)]) == 0
    *lines, summary = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert summary["errors"] == 0 and all(isinstance(line["caption"], str) for line in lines)
    rewards = [{"type": "scst", "samples": 2, "rewards": [{"type": "cider_d"}]}]
    start = {"path": str(Path(run.work_dir) / "output")}
    again = seeing("again", model=start, objectives=rewards, train={"max_steps": 1})
    last = trained(again)
    assert any(not torch.equal(value, begun[name]) for name, value in last.model.backbone.named_parameters())
    assert last.evaluate(split="val")["cider"] >= 0


def test_frozen_with_kept_features_it_learns_the_rest_at_a_rate_of_its_own(seeing, tmp_path):
    kept = {**BACKBONE, "frozen": True, "feature_store": str(tmp_path / "features")}
    trainer = Trainer(experiment=seeing(backbone=kept, preprocessor={"patch_image_size": 32}), device="cpu")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.train()
    changed = {n for n, v in trainer.model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed and not any(name.startswith("backbone.") for name in changed)
    assert any((tmp_path / "features").iterdir())
    slow = seeing("slow", train={"max_steps": 1, "optimizer": {"lr": 1e-2, "lr_scales": {"backbone": 0.0}}})
    slow = Trainer(experiment=slow, device="cpu")
    before = {name: value.clone() for name, value in slow.model.backbone.named_parameters()}
    slow.train()
    assert all(torch.equal(value, before[name]) for name, value in slow.model.backbone.named_parameters())


def test_regions_beside_a_backbone_are_refused(seeing):
    config = seeing()
    values = config.model_dump(mode="json", exclude_unset=True)
    values["data"]["regions"] = {"network": {"name": "test_resnet"}, "image_size": 32}
    with pytest.raises(UsageError, match="data.regions is for models that read regions, but a model of type 'vl'"):
        Trainer(experiment=type(config)(**values), device="cpu")


def test_a_retriever_learns_through_it_and_is_read_back(tmp_path, scenes_root):
    encoder = {
        "type": "vl", "backbone": BACKBONE, "image_size": 32, "config": NETWORK, "projection": 8, "max_length": 32,
        "tokenizer": {"train_vocab_size": 300, "num_codes": 1, "num_bins": 0},
    }  # fmt: skip
    config = small_config(tmp_path / "run", scenes_root, train={"max_epochs": 1})
    config.model.config = {"encoder": encoder}
    trainer = Trainer(experiment=config, device="cpu")
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    changed = {name for name, value in trainer.model.named_parameters() if not torch.equal(value, before[name])}
    assert any(".backbone." in name for name in changed)
    again = load_bundle(tmp_path / "run" / "output")
    assert again.model.fingerprint() == trainer.model.fingerprint() and again.tokenizer["query"].image_size == 32


@pytest.mark.parametrize("frozen", [False, True])
def test_all_images_of_a_question_are_seen_in_training_and_search(tmp_path, frozen):
    backbone = {**BACKBONE, "frozen": True, "feature_store": str(tmp_path / "features")} if frozen else BACKBONE
    encoder = {
        "type": "vl", "backbone": backbone, "image_size": 32, "config": NETWORK, "max_length": 32,
        "tokenizer": {"train_vocab_size": 300, "num_codes": 1, "num_bins": 0},
    }  # fmt: skip
    questions = [{**QUESTIONS[0], "image": ["red.png", "blue.png"]}, *QUESTIONS[1:]]
    config = base_config(tmp_path, questions, train={"max_epochs": 1})
    config.model.config = {"encoder": encoder}
    trainer, seen = Trainer(experiment=config, device="cpu"), []
    network = trainer.model.encoder("query").network
    network.backbone.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    trainer.train()
    assert seen[0] == 5, "those of four questions in one call"
    assert trainer.evaluate(split="test")["queries"] == 4
    bundle = load_bundle(tmp_path / "run" / "output")
    two = trainer.examples["test"][0]
    assert len(two.images) == 2
    items = [two, Query("1", two.text, two.image), Query("2", two.text, two.images[1])]
    found = Embedder(bundle, "query", ["text", "image"], "cpu").embed(items)
    network = bundle.model.encoder("query").network
    inputs = Embedder(bundle, "query", ["text", "image"], "cpu").inputs
    with torch.no_grad():
        red, blue = (inputs.collate([inputs.sample(item)]) for item in items[1:])
        features = [network.visual_features(one["images"]).flatten(2).transpose(1, 2) for one in (red, blue)]
        numbers = torch.arange(2).repeat_interleave(features[0].shape[1])[None]
        places = torch.arange(features[0].shape[1]).repeat(2)[None]
        encoded = network.encode(red["input_ids"], torch.cat(features, 1), img_order_ids=numbers, obj_order_ids=places)
        expected = encoded.last_hidden_state[0].mean(0)
    torch.testing.assert_close(torch.from_numpy(found[0]), expected, rtol=1e-5, atol=1e-5)
    assert all(abs(found[0] - found[other]).max() > 1e-4 for other in (1, 2))
    assert (tmp_path / "features").exists() == frozen

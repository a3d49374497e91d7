"""An experiment whose model reads regions: made on the way, from files, and refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ofakit.cli.encode import main as encode
from ofakit.config import parse_config
from ofakit.data.region_store import RegionStore
from ofakit.data.regions import Regions
from ofakit.errors import UsageError
from ofakit.hub import save_bundle
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders.bag import Bag
from ofakit.models.ofa.model import OFAModel
from ofakit.models.reading import Reading
from ofakit.models.region_network import RegionNetwork
from ofakit.models.types import MODELS
from ofakit.models.types.ofa import OFA
from ofakit.tasks.captioning import Captioning
from ofakit.trainers import Trainer

from tests.tasks.small_retrieval import QUESTIONS, SMALL, write_base

NETWORK = {"name": "resnet10t", "options": {"channels": [8, 8, 8, 16]}}
SEEN: list[dict[str, torch.Tensor]] = []


class RegionReader(OFAModel):
    """An OFA that adds the mean of its regions to nothing, but notes what it was given."""

    reads_regions = True

    def encoder_inputs(self, batch):
        SEEN.append({name: batch[name] for name in ("vis_feats", "boxes", "vis_attention_mask")})
        assert "patch_images" not in batch
        return {"input_ids": batch["input_ids"]}


class RegionReaderType(OFA):
    def build(self, section, tokenizer):
        model = super().build(section, tokenizer)
        model.__class__ = RegionReader
        return model

    def load(self, folder, allow_partial=False):
        model, tokenizer = super().load(folder, allow_partial)
        model.__class__ = RegionReader
        return model, tokenizer


@pytest.fixture
def with_regions(experiment, monkeypatch):
    monkeypatch.setitem(MODELS._added, "reads_regions", RegionReaderType)
    SEEN.clear()

    def make(regions, **changes):
        model = {"type": "reads_regions", "config": {"use_image_feature": False}}
        return experiment(**{"data": {"regions": regions}, "model": model, "train": {"max_steps": 2}, **changes})

    return make


def test_features_are_made_on_the_way_and_found_by_the_next_run(with_regions):
    config = with_regions({"network": NETWORK, "image_size": 64})
    trainer = Trainer(experiment=config, device="cpu")
    trainer.train()
    store = RegionStore(Path(config.work_dir) / "regions")
    assert len(store) == 11 and store.header["made_by"]["network"] == "resnet10t"
    assert all(seen["vis_feats"].shape[1:] == (4, 16) and seen["vis_attention_mask"].all() for seen in SEEN)
    example = trainer.examples["val"][0]
    expected = RegionNetwork(config.data.regions, config.seed)
    assert expected.made_by["fingerprint"] == store.header["made_by"]["fingerprint"]
    assert not (Path(config.work_dir) / "image_store").exists()
    before = (store.folder / "index.jsonl").read_bytes()
    again = Trainer(experiment=config, device="cpu")
    shown = again.task.shown(again.bundle, example, again.loading.preprocessors["val"](example))
    assert shown["regions"] == [4, 16] and "image_size" not in shown
    assert (store.folder / "index.jsonl").read_bytes() == before
    assert again.evaluate(split="test")["captions"] == 16


def test_features_of_a_file_and_examples_without_them(with_regions, tmp_path, scenes_root):
    task = Captioning(with_regions({"network": NETWORK, "image_size": 64}))
    task.read({})
    images = list(task.images())
    store = RegionStore.make(tmp_path / "store", 5, {"network": "theirs"})
    store.add({Path(name).name: Regions(np.ones((3, 5), np.float32)) for name in images[1:]})
    config = with_regions({"path": str(tmp_path / "store"), "max_regions": 2}, name="other")
    config.data.max_bad_fraction = 0.5
    trainer = Trainer(experiment=config, device="cpu")
    trainer.train()
    assert all(seen["vis_feats"].shape[1:] == (2, 5) for seen in SEEN)
    bad = (Path(config.work_dir) / "bad_examples.jsonl").read_text().splitlines()
    assert {json.loads(line)["image"] for line in bad} == {images[0]}
    assert json.loads(bad[0])["reason"] == "there are no regions for it"


@pytest.mark.parametrize(
    ("regions", "model", "message"),
    [
        (None, "reads_regions", "the model reads images as region features, .* set it to"),
        ({"network": NETWORK}, "ofa", "data.regions is for models that read regions, .* 'ofa' reads pixels"),
        ({"path": "none.h5"}, "reads_regions", "no regions at none.h5: there is no such file"),
    ],
)
def test_what_does_not_fit_is_refused(with_regions, regions, model, message):
    with pytest.raises(UsageError, match=message):
        Trainer(experiment=with_regions(regions, model={"type": model}), device="cpu")


def test_a_store_of_another_network_is_refused(with_regions):
    Trainer(experiment=with_regions({"network": NETWORK, "image_size": 64}), device="cpu")
    with pytest.raises(UsageError, match="features of two networks cannot share a store"):
        Trainer(experiment=with_regions({"network": NETWORK, "image_size": 96}), device="cpu")


class MeanOfRegions(Bag):
    """The mean of the regions of all images beside the words."""

    reads = frozenset({"text", "image"})

    def __init__(self, settings, reading):
        super().__init__(settings, reading)
        self.regions = torch.nn.Linear(16, settings.width)

    @classmethod
    def make_reading(cls, settings, texts):
        return Reading(super().make_reading(settings, texts).texts, None, True)

    @classmethod
    def load_reading(cls, settings, folder):
        return Reading(super().load_reading(settings, folder).texts, None, True)

    def pooled(self, inputs, modalities):
        found = super().pooled(inputs, modalities) if "text" in modalities else 0
        if "image" in modalities:
            SEEN.append(dict(inputs))
            there = inputs["vis_attention_mask"][..., None]
            found = found + self.regions((inputs["vis_feats"] * there).sum(1) / there.sum(1).clamp(min=1))
        return found


@pytest.fixture
def retrieval(tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS._added, "mean_of_regions", MeanOfRegions)
    SEEN.clear()
    encoder = {"type": "mean_of_regions", "width": 8, "vocabulary_size": 300}
    questions = [{**QUESTIONS[0], "image": ["red.png", "blue.png"]}, *QUESTIONS[1:]]
    data = {**write_base(tmp_path / "base", questions), "regions": {"network": NETWORK, "image_size": 64}}
    values = {**SMALL, "model": {"config": {"encoder": encoder}}, "data": data}
    return parse_config({"work_dir": str(tmp_path / "run"), **values})


def test_both_sides_of_a_retriever_read_regions(retrieval, tmp_path, capsys):
    trainer = Trainer(experiment=retrieval, device="cpu")
    trainer.train()
    store = RegionStore(Path(retrieval.work_dir) / "regions")
    assert sorted(Path(name).name for name in store.names()) == ["blue.png", "red.png"]
    assert {seen["vis_feats"].shape[1:] for seen in SEEN} == {(4, 16), (8, 16)}
    two = next(seen for seen in SEEN if "img_order_ids" in seen)
    assert two["img_order_ids"].sum(1).tolist().count(4) == 1
    assert trainer.evaluate(split="test")["queries"] == 4
    text = json.dumps(retrieval.model_dump(mode="json", exclude_unset=True))
    (tmp_path / "conf.json").write_text(text)
    trainer.bundle.regions = None
    model = save_bundle(trainer.bundle, tmp_path / "model")
    command = ["--conf", str(tmp_path / "conf.json"), "--encoder", str(model), "--out", str(tmp_path / "base.index")]
    assert encode(command) == 0
    found = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert (found["count"], found["errors"]) == (5, 0)

"""An experiment whose model reads regions: made on the way, from files, and refused where they do not fit."""

from __future__ import annotations

import copy
import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ofakit.cli.caption import main as caption
from ofakit.cli.encode import main as encode
from ofakit.config import parse_config
from ofakit.config.regions import RegionsSection
from ofakit.config.schema import ModelSection
from ofakit.data import Example, load_square
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.data.region_store import RegionStore
from ofakit.data.regions import Regions
from ofakit.errors import UsageError
from ofakit.hub import AnswerBundle, load_bundle, save_bundle
from ofakit.hub.multitask_bundle import MultitaskBundle
from ofakit.inference import Answerer, Captioner, Embedder, ImageTextMatcher, rerank
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders.bag import Bag
from ofakit.models.encoders.vl import VLEncoder
from ofakit.models.ofa.model import OFAModel
from ofakit.models.reading import Reading
from ofakit.models.region_network import RegionNetwork
from ofakit.models.types import MODELS
from ofakit.models.types.ofa import OFA
from ofakit.retrieval.index_directory import load_index
from ofakit.serving import caption_app
from ofakit.tasks import _regions
from ofakit.tasks.captioning import Captioning
from ofakit.tasks.retrieval import Retrieval
from ofakit.trainers import Trainer
from starlette.testclient import TestClient

from tests.tasks.small_retrieval import QUESTIONS, SMALL, write_base
from tests.trainers.conftest import SMALL as SMALL_CAPTIONS
from tests.trainers.conftest import merged

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


def test_features_are_made_where_the_run_computes(with_regions, monkeypatch):
    devices, make = [], _regions.region_store
    monkeypatch.setattr(_regions, "region_store", lambda config, device="none": devices.append(device) or make(config))
    Trainer(experiment=with_regions({"network": NETWORK, "image_size": 64}), device="cpu")
    assert devices == [torch.device("cpu")]


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


VL = {
    "type": "vl",
    "tokenizer": {"train_vocab_size": 400, "num_codes": 8, "num_bins": 0},
    "config": {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 64, "init_std": 0.3,
    },
}  # fmt: skip
ITM = [{"type": "cross_entropy"}, {"type": "itm"}]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A VL-BART after a few steps: its trainer, and its directory where none of the run's own files are."""
    folder = tmp_path_factory.mktemp("vl")
    values = merged(copy.deepcopy(SMALL_CAPTIONS), {
        "model": VL, "data": {"regions": {"network": NETWORK, "image_size": 64, "dtype": "float16"}},
        "train": {"max_steps": 2}, "objectives": ITM, "generation": {"max_length": 8, "num_beams": 3},
    })  # fmt: skip
    values["model"] = VL
    values["data"]["reader"]["root"] = str(folder / "scenes")
    trainer = Trainer(experiment=parse_config({"work_dir": str(folder / "run"), **values}), device="cpu")
    trainer.train()
    shutil.copytree(folder / "run" / "output", folder / "model")
    return trainer, folder / "model"


def test_new_images_are_captioned_as_those_of_the_store(trained, tmp_path):
    trainer, model = trained
    images = [example.image for example in trainer.examples["test"][:3]]
    styles = [example.style for example in trainer.examples["test"][:3]]
    stored = Captioner(trainer.bundle, "cpu")
    assert stored.preprocessor.regions.source is not None and stored.preprocessor.regions.live is None
    new = [shutil.copy(image, tmp_path / f"new_{place}x.png") for place, image in enumerate(images)]
    assert {path.name for path in (model / "regions").iterdir()} == {"model.safetensors", "regions.json"}
    live = Captioner.from_pretrained(model, device="cpu")
    for image, other in zip(images, new, strict=True):
        expected = stored.preprocessor(Example("", image))["vis_feats"]
        assert expected.abs().max() > 0
        found = live.preprocessor(Example("", str(other)))["vis_feats"]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    expected = stored.caption(images, styles)
    assert [found.error for found in expected] == [None] * 3
    found = live.caption(new, styles)
    assert [one.caption for one in found] == [one.caption for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-4)
    assert "no such file" in live.caption([tmp_path / "none.png"], [None])[0].error
    squares = [load_square(image, live.image_size) for image in new]
    assert [one.caption for one in live.caption(squares, styles)] == [one.caption for one in expected]


def test_captions_are_reranked_by_matching_on_regions(trained, tmp_path):
    _, model = trained
    captioner = Captioner.from_pretrained(model, device="cpu", generation={"rerank": "itm", "num_return_sequences": 3})
    image = shutil.copy(trained[0].examples["test"][0].image, tmp_path / "n.png")
    (found,) = captioner.caption([image], [trained[0].examples["test"][0].style])
    sure = [found.p_yes, *(other.p_yes for other in found.alternatives)]
    assert sure == sorted(sure, reverse=True) and all(0 < p < 1 for p in sure)
    texts = [found.caption, *(other.text for other in found.alternatives)]
    ranked = rerank(load_bundle(model), [image, image], [found.style] * 2, [texts, texts[:1]])
    assert dict(ranked[0]) == pytest.approx(dict(zip(texts, sure, strict=True)), abs=1e-5)
    assert ranked[1][0][1] == pytest.approx(sure[0], abs=1e-5)
    pairs = ImageTextMatcher(load_bundle(model), max_length=60).score([(image, text) for text in texts])
    assert pairs.shape == (len(texts),) and not np.isnan(pairs).any()


@pytest.fixture
def calls(monkeypatch):
    """How many images each call of a region network is about."""
    found, plain = [], RegionNetwork.__call__

    def counted(self, images, **keys):
        found.append(len(images))
        return plain(self, images, **keys)

    monkeypatch.setattr(RegionNetwork, "__call__", counted)
    return found


def test_regions_of_new_images_are_made_together(trained, tmp_path, calls):
    trainer, model = trained
    apart = list(dict.fromkeys(example.image for example in trainer.examples["test"]))
    images = [shutil.copy(apart[place], tmp_path / f"n{place}.png") for place in range(3)]
    asked, texts = [*images, str(tmp_path / "none.png"), images[0]], [["a red dot", "a blue dot"]] * 3

    def fresh():
        bundle = load_bundle(model)
        bundle.live_regions.network  # noqa: B018 (is read, and tried once)
        calls.clear()
        return bundle

    captioner = Captioner(fresh(), device="cpu")
    captions = captioner.caption(asked, [None] * 5)
    assert calls == [3] and [one.error is None for one in captions] == [True] * 3 + [False, True]
    ranked = rerank(fresh(), images, [None] * 3, texts)
    assert calls == [3]
    scores = ImageTextMatcher(fresh()).score([(image, "a red dot") for image in asked])
    assert calls == [3] and np.isnan(scores).tolist() == [False] * 3 + [True, False]
    client = TestClient(caption_app(Captioner(fresh(), device="cpu")))
    with client, ExitStack() as opened:
        files = [("image", opened.enter_context(open(image, "rb"))) for image in images]
        served = client.post("/caption", files=files).json()
    assert sum(calls) == 3 and [row["caption"] for row in served] == [one.caption for one in captions[:3]]
    for place, image in enumerate(images):
        own = Captioner(fresh(), device="cpu").caption([image], [None])[0]
        assert own.caption == captions[place].caption and own.score == pytest.approx(captions[place].score, abs=1e-5)
        ((alone,)) = rerank(fresh(), [image], [None], texts[:1])
        assert dict(alone) == pytest.approx(dict(ranked[place]), abs=1e-5)


def test_the_pipeline_and_the_tool_caption_new_images(trained, tmp_path, capsys):
    trainer, model = trained
    image = shutil.copy(trainer.examples["test"][0].image, tmp_path / "n.png")
    style = trainer.examples["test"][0].style
    expected = Captioner.from_pretrained(model, device="cpu").caption([image], [style])[0].caption
    assert caption(["--model", str(model), "--image", str(image), "--style", style]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["caption"] == expected
    import ofakit.modelscope  # noqa: F401
    from modelscope.pipelines import pipeline

    made = pipeline("image-captioning", model=str(model), device="cpu")
    assert made(str(image), style=style)["caption"] == [expected]


def test_a_server_captions_what_is_sent(trained, tmp_path):
    example = trained[0].examples["test"][0]
    captioner = Captioner.from_pretrained(trained[1], device="cpu")
    assert captioner.image_size == 64
    expected = captioner.caption([example.image], [example.style])[0].caption
    with TestClient(caption_app(captioner)) as client, open(example.image, "rb") as file:
        answer = client.post("/caption", files={"image": file}, data={"style": example.style})
    assert answer.json()[0]["caption"] == expected


def test_features_made_elsewhere_are_asked_for(trained, tmp_path, capsys):
    trainer, model = trained
    shutil.copytree(model, tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "regions")
    images = [shutil.copy(trainer.examples["test"][place].image, tmp_path / f"n{place}.png") for place in range(2)]
    with pytest.raises(UsageError, match="features were computed elsewhere: give the features of these images"):
        Captioner.from_pretrained(tmp_path / "model", device="cpu")
    store = trainer.bundle.regions.source
    features = store.regions(trainer.examples["test"][0].image).features
    np.savez(tmp_path / "given.npz", ids=["n0"], features=features[None])
    command = ["--model", str(tmp_path / "model"), "--regions", str(tmp_path / "given.npz")]
    assert caption([*command, "--image", str(images[0]), "--image", str(images[1])]) == 0
    first, second, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert "there are no regions for it among those of 1 images" in second["error"] and summary["errors"] == 1
    live = Captioner.from_pretrained(model, device="cpu")
    assert live.caption([images[0]], [None])[0].caption == first["caption"]


def test_questions_about_new_images_are_answered(trained, tmp_path, calls):
    trainer, model = trained
    own, image = trainer.bundle, trainer.examples["test"][0].image
    answering = AnswerBundle(
        own.model, own.tokenizer, None, own.preprocessor.model_copy(update={"prompt": None}), own.generation,
        model_type="vl", regions=own.regions, live_regions=own.live_regions,
    )  # fmt: skip
    (stored,) = Answerer(answering).answer([image], ["what color is it?"])
    save_bundle(answering, tmp_path / "answers")
    answerer = Answerer.from_pretrained(tmp_path / "answers", device="cpu")
    answerer.bundle.live_regions.network  # noqa: B018 (is read, and tried once)
    calls.clear()
    other = next(example.image for example in trainer.examples["test"] if example.image != image)
    asked = [shutil.copy(image, tmp_path / "n.png"), str(tmp_path / "none.png"), shutil.copy(other, tmp_path / "o.png")]
    found, missing, _ = answerer.answer(asked, ["what color is it?"] * 3)
    assert calls == [2] and "no such file" in missing.error
    assert found.error is None and found.answer == stored.answer
    assert found.score == pytest.approx(stored.score, abs=1e-5)


def test_a_training_goes_on_with_the_network_of_its_directory(trained, tmp_path):
    trainer, model = trained
    values = merged(copy.deepcopy(SMALL_CAPTIONS), {"train": {"max_steps": 1}})
    values["model"] = {"type": "vl", "path": str(model)}
    values["data"]["reader"]["root"] = str(Path(trainer.work_dir).parent / "scenes")
    again = Trainer(experiment=parse_config({"work_dir": str(tmp_path / "run"), **values}), device="cpu")
    assert again.bundle.regions.source.header["made_by"] == trainer.bundle.regions.source.header["made_by"]
    assert again.bundle.live_regions.fingerprint == trainer.bundle.live_regions.fingerprint


def test_several_tasks_keep_what_makes_their_regions(trained, tmp_path):
    trainer, _ = trained
    own = trainer.bundle
    fewer = replace(own, live_regions=own.live_regions.with_section(RegionsSection(path="x", max_regions=2)))
    for name, bundles, expected in (
        ("same", {"a": own, "b": replace(own)}, [None, None]),
        ("apart", {"a": own, "b": fewer}, [None, 2]),
    ):
        save_bundle(MultitaskBundle(own.model, own.tokenizer, model_type="vl", bundles=bundles), tmp_path / name)
        again = load_bundle(tmp_path / name)
        assert [one.live_regions.about.regions.max_regions for one in again.bundles.values()] == expected
        assert (tmp_path / name / "regions" / "model.safetensors").exists() == (name == "same")


def test_new_images_have_the_vectors_of_the_store(retrieval, tmp_path, capsys, calls):
    encoder = {"pooling": "mean", "tokenizer": VL["tokenizer"], "config": VL["config"], "type": "vl"}
    retrieval.model.config = {"encoder": encoder}
    trainer = Trainer(experiment=retrieval, device="cpu")
    trainer.train()
    bundle, model = trainer.bundle, Path(retrieval.work_dir) / "output"
    assert bundle.model.settings.encoder.model_extra["config"]["feat_dim"] == 16
    red = trainer.task.base("test")[0].image
    new = shutil.copy(red, tmp_path / "unknown.png")
    for side, made in (("query", Query), ("passage", Passage)):
        expected = Embedder(bundle, side, ["image"], "cpu").embed([made("1", image=red)])
        live = Embedder(load_bundle(model), side, ["image"], "cpu")
        np.testing.assert_allclose(live.embed([made("1", image=str(new))]), expected, atol=1e-5)
        assert live.fingerprint == Embedder(bundle, side, ["image"], "cpu").fingerprint and live.image_size == 64
    blue = shutil.copy(trainer.task.base("test")[2].image, tmp_path / "another.png")
    live = Embedder(load_bundle(model), "passage", ["image"], "cpu")
    live.inputs.regions.live.network  # noqa: B018 (is read, and tried once)
    calls.clear()
    items = [Passage(name, image=name) for name in (str(new), "none.png", str(blue), str(new))]
    prepared = live.prepare(items)
    assert calls == [2] and [entry.error is None for entry in prepared] == [True, False, True, True]
    (tmp_path / "texts.jsonl").write_text(json.dumps({"id": "1", "text": "a flag", "image": str(new)}) + "\n")
    command = ["--encoder", str(model), "--texts", str(tmp_path / "texts.jsonl"), "--out", str(tmp_path / "live.index")]
    assert encode(command) == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["errors"] == 0
    vector = Embedder(bundle, "passage", None, "cpu").embed([Passage("1", "a flag", image=red)])
    scores, ids = load_index(tmp_path / "live.index").search(vector, 1)
    assert ids[0][0] == "1" and scores[0][0] == pytest.approx(float(vector[0] @ vector[0]), rel=1e-5)


@pytest.mark.parametrize("name", ["vl", "of_mine"])
def test_an_encoder_that_reads_regions_is_told_how_wide_they_are(retrieval, monkeypatch, name):
    monkeypatch.setitem(ENCODERS._added, "of_mine", VLEncoder)
    task = Retrieval(retrieval)
    task.read({})
    for spec, expected in (
        ({"type": name}, {"config": {"feat_dim": 16}}),
        ({"type": name, "config": {"feat_dim": 5}}, {"config": {"feat_dim": 5}}),
        ({"type": "bag"}, {}),
        ({"type": "nothing"}, {}),
    ):
        section = ModelSection(type="retriever", config={"encoder": spec})
        found = task.with_region_width(section, MODELS.build({"type": "retriever"}))
        assert found.config["encoder"] == {"type": spec["type"], **expected}

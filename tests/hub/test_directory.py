"""Model directories are written whole, come back as they were, and say what is wrong where they cannot be read."""

from __future__ import annotations

import importlib
import json
import shutil

import huggingface_hub
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, load_bundle, resolve_model, save_bundle
from ofakit.hub.directory import CONFIGURATION
from ofakit.models.types import MODELS

from tests.objectives.conftest import make_bundle

HUB = importlib.import_module("modelscope.hub.snapshot_download")  # the package has a function of that name


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A directory of ours."""
    bundle = make_bundle()
    bundle.objectives = ("cross_entropy", "itm")
    return save_bundle(bundle, tmp_path_factory.mktemp("models") / "model", {"step": 7, "scores": {"cider": 0.5}})


@pytest.fixture
def changed(directory, tmp_path):
    """Makes a copy of the directory with another configuration.json; None leaves it out."""

    def make(configuration):
        folder = shutil.copytree(directory, tmp_path / "changed", dirs_exist_ok=True)
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
        (folder / CONFIGURATION).unlink()
        if configuration is not None:
            (folder / CONFIGURATION).write_text(text)
        return folder

    return make


def test_a_directory_comes_back_as_it_was(bundle, directory):
    found = load_bundle(directory)
    assert type(found) is CaptionBundle and found.objectives == ("cross_entropy", "itm")
    assert found.configuration() == bundle.configuration()
    assert found.tokenizer.first_difference(bundle.tokenizer) is None and not found.model.training
    assert all(torch.equal(value, found.model.state_dict()[name]) for name, value in bundle.model.state_dict().items())


def test_what_is_said_about_it_stands_beside_what_the_task_keeps(directory):
    ours = json.loads((directory / CONFIGURATION).read_text())["ofakit"]
    assert (ours["step"], ours["scores"]) == (7, {"cider": 0.5})
    assert (ours["objectives"], ours["model_type"]) == (["cross_entropy", "itm"], "ofa")
    assert {"style", "preprocessor", "generation"} <= set(ours)


def test_a_process_killed_while_it_saves_leaves_the_old_directory(bundle, tmp_path, monkeypatch):
    folder = save_bundle(bundle, tmp_path / "model", {"step": 1})
    monkeypatch.setattr(type(bundle.tokenizer), "save_pretrained", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_bundle(bundle, folder, {"step": 2})
    assert json.loads((folder / CONFIGURATION).read_text())["ofakit"]["step"] == 1
    load_bundle(folder)


@pytest.mark.parametrize("stock", [None, {}, {"task": "ofa-other", "model": {"patch_image_size": 64}}])
def test_stock_directories_are_read_as_captioning_and_do_not_say_what_they_were_taught(changed, stock):
    found = load_bundle(changed(stock))
    assert type(found) is CaptionBundle and found.styles is None and found.objectives is None
    assert found.preprocessor.patch_image_size == (64 if stock and stock["model"] else 480)


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ("{'a': 1}", "configuration.json is not valid JSON"),
        ("[1]", r"configuration.json: expected a JSON object, found \[1\]"),
        ({"ofakit": 3}, "configuration.json: expected an object as 'ofakit', found 3"),
        ({"ofakit": {"preprocessor": {"patch_image_siz": 32}}}, "(?s)configuration.json: .*patch_image_siz"),
        ({"ofakit": {"model_type": "ofb"}}, "unknown model 'ofb': did you mean 'ofa'"),
        ({"ofakit": {}, "task": "image-captionin"}, "task 'image-captionin'.*did you mean 'image-captioning'"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_named(changed, configuration, words):
    with pytest.raises(UsageError, match=words):
        load_bundle(changed(configuration))


def test_an_unknown_task_is_refused_before_the_weights_are_read(changed, monkeypatch):
    folder = changed({"ofakit": {}, "task": "unknown"})
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(UsageError, match="task 'unknown'"):
        load_bundle(folder)


def test_what_is_no_directory_of_a_model_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a model directory: it has no config.json"):
        load_bundle(tmp_path)
    (tmp_path / "model.pt").write_text("")
    with pytest.raises(UsageError, match=r"found the file .*model\.pt; convert it with tools/checkpoint.py"):
        load_bundle(tmp_path / "model.pt")


def test_weights_that_are_missing_are_accepted_on_request(directory, tmp_path):
    folder = shutil.copytree(directory, tmp_path / "copy")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    name = next(name for name in weights if "layernorm_embedding.bias" in name)
    torch.save({key: value for key, value in weights.items() if key != name}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="missing"):
        load_bundle(folder)
    assert load_bundle(folder, allow_partial=True).tokenizer is not None


def test_a_model_is_where_it_is_or_comes_from_the_hub(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(HUB, "snapshot_download", lambda name: asked.append(name) or str(tmp_path / "downloaded"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert resolve_model("owner/name").samefile(tmp_path / "owner" / "name")
    assert resolve_model("~/owner/name") == tmp_path / "owner" / "name" and not asked
    assert resolve_model("hub:owner/other") == tmp_path / "downloaded" and asked == ["owner/other"]
    assert resolve_model("ms://owner/one") == tmp_path / "downloaded" and asked == ["owner/other", "owner/one"]


@pytest.mark.parametrize("name", ["./owner/name", "/owner/name", "~/gone", "a/b/c"])
def test_a_path_that_is_not_there_is_no_hub_id(name):
    with pytest.raises(UsageError, match=f"no model directory {name}, and it is not a hub id"):
        resolve_model(name)


def test_what_the_hub_answers_is_said(monkeypatch):
    def refuse(name):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(HUB, "snapshot_download", refuse)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: refuse("the other"))
    with pytest.raises(
        UsageError, match="no model of that id could be fetched from the hub: ModelScope: no route to host"
    ):
        resolve_model("damo/name")


def test_the_type_of_the_model_writes_and_reads_it(bundle, directory, monkeypatch):
    kind, asked = type(MODELS.build({"type": "ofa"})), []
    load = kind.load
    monkeypatch.setattr(kind, "load", lambda self, *given, **named: asked.append(given) or load(self, *given, **named))
    assert load_bundle(directory).model_type == "ofa" and asked == [(directory,)]

"""Uploads: to a server that speaks Hugging Face's protocol, and through a stand-in of ModelScope's client."""

from __future__ import annotations

import hashlib
import importlib
import sys

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub.uploading import HuggingFaceHub, ModelScopeHub, Parcel, UploadFailed, check_name, token_of, upload
from PIL import Image
from safetensors.torch import load_file

from tests.hub.upload_server import upload_server

TOKEN = "hf_secret123"
NAMES = ["README.md", "config.json", "model.safetensors", "pytorch_model.bin", "sub/vocab.json"]


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "best"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "vocab.json").write_text("{}")
    (folder / ".ofakit.json").write_text("{}")
    shared = torch.arange(6.0).reshape(2, 3)
    torch.save({"encoder.a": shared, "decoder.b": shared.T}, folder / "pytorch_model.bin")
    return folder


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with upload_server() as one:
        yield one


def test_what_arrives_is_what_lies_here(model, server):
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    parcel = Parcel.of(model, "---\nlicense: mit\n---\n# ü\n")
    upload(parcel, "me/pirate", HuggingFaceHub(TOKEN, server.url), private=True)
    there = server.repos["me/pirate"]
    assert sorted(there) == parcel.names == NAMES
    assert there["README.md"].decode() == parcel.text
    for name in ("config.json", "pytorch_model.bin", "sub/vocab.json"):
        assert there[name] == (model / name).read_bytes()
    assert server.tokens == {f"Bearer {TOKEN}"}
    assert server.private == {"me/pirate": True}
    assert {path: path.read_bytes() for path in model.parent.rglob("*") if path.is_file()} == before


def test_safetensors_hold_the_same_weights(model, server, tmp_path):
    upload(Parcel.of(model, ""), "me/pirate", HuggingFaceHub(TOKEN, server.url))
    (tmp_path / "got.safetensors").write_bytes(server.repos["me/pirate"]["model.safetensors"])
    weights, expected = load_file(tmp_path / "got.safetensors"), torch.load(model / "pytorch_model.bin")
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("fails", "large"), [("/commit/", 2), ("/lfs/", 0), ("/objects/batch", 0)])
def test_what_broke_off_is_said_and_goes_on(model, server, fails, large):
    parcel, hub = Parcel.of(model, "card"), HuggingFaceHub(TOKEN, server.url)
    server.fails = fails
    with pytest.raises(
        UploadFailed, match=r"me/pirate has none of the files; missing: README.md, .*continue$"
    ) as found:
        upload(parcel, "me/pirate", hub)
    said = str(found.value)
    assert TOKEN not in said and "\n" not in said
    assert found.value.__cause__ is None
    sent = list(server.uploads)
    assert len(sent) == large
    server.fails = None
    upload(parcel, "me/pirate", hub)
    assert len(server.uploads) == len(set(server.uploads)) == 2  # large files did not go twice
    assert sorted(server.repos["me/pirate"]) == NAMES
    assert [path.name for path in model.parent.iterdir()] == ["best"]


def test_a_hub_that_no_longer_answers(model, server):
    server.fails = "/"
    with pytest.raises(UploadFailed, match="are unknown, since"):
        upload(Parcel.of(model, ""), "me/pirate", HuggingFaceHub(TOKEN, server.url))


def test_what_is_replaced_counts_as_missing_until_it_is(model, server):
    hub = HuggingFaceHub(TOKEN, server.url)
    upload(Parcel.of(model, "card"), "me/pirate", hub)
    (model / "config.json").write_text('{"new": 1}')
    server.fails = "/commit/"
    with pytest.raises(UploadFailed, match=r"has README.md, model.safetensors, .*; missing: config.json\. Run the"):
        upload(Parcel.of(model, "card"), "me/pirate", hub)


def test_a_client_that_is_not_installed(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match="pip install huggingface_hub"):
        upload(Parcel.of(model, ""), "me/pirate", HuggingFaceHub(TOKEN))
    assert [path.name for path in model.parent.iterdir()] == ["best"]


class Client:
    """ModelScope's client, which has two of the files and breaks off."""

    made, sent = [], []

    def __init__(self, endpoint=None, token=None):
        assert token == TOKEN

    def create_repo(self, name, *, token, visibility, exist_ok):
        assert token == TOKEN and exist_ok
        self.made.append((name, visibility))

    def upload_folder(self, repo_id, folder_path, token, commit_message):
        assert token == TOKEN
        (folder_path / ".ms_upload_cache").write_text("half")
        self.sent.append(sorted(path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*.*")))
        if len(self.sent) == 1:
            raise ConnectionError(f"reset\nby peer with {TOKEN}")


def test_modelscope_through_its_client(model, monkeypatch):
    monkeypatch.setattr(importlib.import_module("modelscope.hub.api"), "HubApi", Client)
    of_config = hashlib.sha256((model / "config.json").read_bytes()).hexdigest()
    there = {"config.json": of_config, "README.md": "of another card"}
    monkeypatch.setattr(ModelScopeHub, "hashes", lambda self, name: there)
    with pytest.raises(UploadFailed, match=r"has config.json; missing: README.md, model.safetensors") as found:
        upload(Parcel.of(model, ""), "me/pirate", ModelScopeHub(TOKEN))
    assert TOKEN not in str(found.value)
    left = model.parent / ".best.upload"
    assert (left / ".ms_upload_cache").exists()
    upload(Parcel.of(model, ""), "me/pirate", ModelScopeHub(TOKEN), private=True)
    assert Client.made == [("me/pirate", "public"), ("me/pirate", "private")]
    assert Client.sent[0] == Client.sent[1] and set(NAMES) <= set(Client.sent[0])
    assert not left.exists()


def test_images_lose_what_a_camera_notes(model, tmp_path, server):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.new("RGB", (900, 300), "red").save(tmp_path / "photo.jpg", exif=exif)
    parcel = Parcel.of(model, "", {"examples/1.png": tmp_path / "photo.jpg"})
    parcel.lay_out(tmp_path / "out")
    with Image.open(tmp_path / "out" / "examples" / "1.png") as image:
        assert image.size == (512, 171) and not image.getexif()


def test_a_card_of_ones_own_is_kept(model, tmp_path):
    (model / "README.md").write_text("mine")
    parcel = Parcel.of(model, "generated")
    parcel.lay_out(tmp_path / "out")
    assert parcel.text == "mine" == (tmp_path / "out" / "README.md").read_text()


def test_bad_model_directories(tmp_path, model):
    with pytest.raises(UsageError, match="name .*best"):
        Parcel.of(tmp_path, "")
    with pytest.raises(UsageError, match="expected a model directory"):
        Parcel.of(tmp_path / "gone", "")


@pytest.mark.parametrize("name", ["mine", "a/b/c", "../x", "a/", "a b/c", "é/x"])
def test_bad_names(name):
    with pytest.raises(UsageError, match="owner/name"):
        check_name(name)


def test_tokens(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(UsageError, match="HF_TOKEN"):
        token_of(HuggingFaceHub)
    monkeypatch.setenv("HF_TOKEN", "two words")
    with pytest.raises(UsageError) as found:
        token_of(HuggingFaceHub)
    assert "two" not in str(found.value)
    monkeypatch.setenv("HF_TOKEN", f" {TOKEN}\n")
    assert token_of(HuggingFaceHub) == TOKEN


def test_a_token_is_asked_for_at_the_terminal(monkeypatch):
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("getpass.getpass", lambda prompt: TOKEN)
    assert token_of(ModelScopeHub) == TOKEN

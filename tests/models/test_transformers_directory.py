"""A directory of transformers is read whole, or refused with what is wrong with it."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import load_retriever
from ofakit.models.transformers_directory import load_network
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertModel


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


@pytest.fixture
def folder(shared, tmp_path):
    """A sentence-transformers directory to change."""
    folder = tmp_path / "model"
    shutil.copytree(shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer", folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def without(folder, *words):
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not any(word in name for word in words)}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def test_a_whole_directory_is_read(folder):
    weights = load_file(folder / "model.safetensors")
    network = load_network(AutoModel, folder)
    assert isinstance(network, BertModel)
    torch.testing.assert_close(network.embeddings.word_embeddings.weight, weights["embeddings.word_embeddings.weight"])


def test_weights_that_are_missing_are_named(folder):
    without(folder, "layer.1.attention.self.query")
    with pytest.raises(
        UsageError, match=r"does not fit .* missing or of another shape: encoder.layer.1.attention.self.query.bias"
    ):
        load_network(AutoModel, folder)
    with pytest.raises(UsageError, match="encoder.layer.1.attention.self.query.bias"):
        load_retriever(folder)
    assert load_retriever(folder, allow_partial=True).model is not None


def test_a_pooler_that_nothing_uses_may_be_missing(folder):
    if any("pooler" in name for name in load_file(folder / "model.safetensors")):
        without(folder, "pooler")
    assert load_network(AutoModel, folder).pooler is not None


def test_weights_of_other_sizes_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    save_file({**weights, name: weights[name][:-1].clone()}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=f"missing or of another shape: {name}"):
        load_network(AutoModel, folder)


def test_damaged_weights_are_refused(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:1000])
    with pytest.raises(UsageError, match="no network in .*model: .*header"):
        load_network(AutoModel, folder)


def test_a_pickle_that_runs_code_is_refused(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({**weights, "x": Harmful()}, folder / "pytorch_model.bin")
    with pytest.raises(UsageError, match="no network in .*model: "):
        load_network(AutoModel, folder)
    assert not (tmp_path / "harm").exists()

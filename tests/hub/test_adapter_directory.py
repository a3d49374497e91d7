"""Adapters in a directory of their own, read as a model."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import RetrievalBundle, load_bundle, load_retriever, save_bundle
from ofakit.hub.adapter_directory import is_adapter, load_adapted, write_adapter
from ofakit.hub.directory import whole_configuration
from ofakit.models.adapters import add_adapters

from tests.models.adapters.small import stir
from tests.models.test_retriever import BERT, embedded, made


def adapted(folder, spec, **config):
    """A retriever with adapters, and the directory of its base."""
    torch.manual_seed(0)
    model, readings = made(**config)
    base = RetrievalBundle(model, readings, model_type="retriever")
    save_bundle(base, folder)
    add_adapters(model, spec)
    stir(model)
    return RetrievalBundle(model.eval(), readings, model_type="retriever")


@pytest.mark.parametrize("spec", [{"type": "bottleneck"}, {"type": "lora"}, {"type": "prompt", "encoder_length": 2}])
def test_they_come_back_with_their_base(spec, tmp_path):
    bundle = adapted(tmp_path / "base", spec, encoder=BERT)
    write_adapter(bundle, whole_configuration(bundle), tmp_path / "adapter", str(tmp_path / "base"))
    assert is_adapter(tmp_path / "adapter") and not is_adapter(tmp_path / "base")
    for load in (load_bundle, load_retriever):
        again = load(tmp_path / "adapter")
        for side in ("query", "passage"):
            assert torch.equal(
                embedded(again.model, again.tokenizer, side), embedded(bundle.model, bundle.tokenizer, side)
            )
    (tmp_path / "base").rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="the base of the adapter in .* was not found.*--base"):
        load_bundle(tmp_path / "adapter")
    assert load_bundle(tmp_path / "adapter", base=str(tmp_path / "moved")).model.adapter_set is not None
    with pytest.raises(UsageError, match="is a complete model and has no base"):
        load_bundle(tmp_path / "moved", base=str(tmp_path / "moved"))


def test_the_base_of_a_retriever_may_be_its_encoders_directory(shared, tmp_path):
    folder = str(shared / "golden" / "retrieval" / "tiny_bert" / "bert")
    model, readings = made(encoder={"type": "hugging_face", "path": folder, "pooling": "first", "projection": 6})
    add_adapters(model, {"type": "lora", "rank": 2})
    stir(model)
    bundle = RetrievalBundle(model.eval(), readings, model_type="retriever")
    write_adapter(bundle, whole_configuration(bundle), tmp_path / "adapter", folder)
    again = load_retriever(tmp_path / "adapter")
    assert again.model.settings.encoder.model_extra["pooling"] == "first"
    assert torch.equal(embedded(again.model, again.tokenizer, "query"), embedded(model, readings, "query"))


def test_another_base_is_refused_before_anything_is_written(tmp_path):
    bundle = adapted(tmp_path / "base", {"type": "lora"}, encoder=BERT)
    other, readings = made(encoder=BERT)
    stir(other)
    save_bundle(RetrievalBundle(other, readings, model_type="retriever"), tmp_path / "third")
    with pytest.raises(UsageError, match="belongs to another model"):
        write_adapter(bundle, whole_configuration(bundle), tmp_path / "adapter", str(tmp_path / "third"))
    assert not (tmp_path / "adapter").exists()
    with pytest.raises(UsageError, match="was not found"):
        write_adapter(bundle, whole_configuration(bundle), tmp_path / "adapter", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="does not name its base"):
        load_adapted(bad_adapter(tmp_path), "retriever")


def bad_adapter(folder):
    """A directory of adapters that does not name its base."""
    bundle = adapted(folder / "base", {"type": "lora"}, encoder=BERT)
    write_adapter(bundle, whole_configuration(bundle), folder / "adapter", str(folder / "base"))
    about = json.loads((folder / "adapter" / "adapter.json").read_text())
    about["base"]["name"] = None
    (folder / "adapter" / "adapter.json").write_text(json.dumps(about))
    return folder / "adapter"

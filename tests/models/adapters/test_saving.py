"""Adapters saved alone."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.adapters import load_adapter, save_adapter, using_task
from ofakit.models.adapters.adding import adapter_settings
from ofakit.models.adapters.saving import fingerprint, read_adapter
from safetensors.torch import load_file, save_file

from tests.models.adapters.small import FAMILIES, KINDS, made, states


def bases(family, seed=0):
    torch.manual_seed(seed)
    return FAMILIES[family]()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["bert", "ofa"])
def test_an_adapter_comes_back_on_its_base(family, kind, tmp_path):
    model = made(family, kind, ["a", "b"])
    save_adapter(model, tmp_path, "some/base")
    assert {path.name for path in tmp_path.iterdir()} == {"adapter.json", "adapter.safetensors"}
    assert read_adapter(tmp_path)["base"]["name"] == "some/base"
    assert not any("embed_images" in n or "word_embeddings" in n for n in load_file(tmp_path / "adapter.safetensors"))
    base = bases(family)  # of the same seed, so of the same weights
    with torch.no_grad(), using_task(load_adapter(base, tmp_path).eval(), "b"):
        found = states(base)
    with torch.no_grad(), using_task(model, "b"):
        assert torch.equal(states(model), found)


def test_another_base_is_refused_and_stays_as_it_was(tmp_path):
    save_adapter(made("bert", "lora"), tmp_path, "some/base")
    other = bases("bert", seed=1)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(UsageError, match="trained with some/base of fingerprint"):
        load_adapter(other, tmp_path)
    assert before.keys() == other.state_dict().keys() and all(p.requires_grad for p in other.parameters())


def test_a_fingerprint_leaves_out_what_learns_and_sees_all_else():
    settings = adapter_settings(KINDS["bottleneck"])
    base = bases("bert")
    first = fingerprint(base, settings)
    assert first == fingerprint(made("bert", "bottleneck"), settings)
    base.encoder.layer[0].output.LayerNorm.weight.data += 1
    assert fingerprint(base, settings) == first
    base.encoder.layer[0].output.dense.weight.data[0, 0] += 1e-6
    assert fingerprint(base, settings) != first


def test_what_is_no_adapter_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no adapters to save"):
        save_adapter(bases("bert"), tmp_path)
    with pytest.raises(UsageError, match="adapter.json"):
        load_adapter(bases("bert"), tmp_path)
    save_adapter(made("bert", "lora"), tmp_path)
    weights = load_file(tmp_path / "adapter.safetensors")
    save_file({name: value for name, value in list(weights.items())[1:]}, tmp_path / "adapter.safetensors")
    with pytest.raises(UsageError, match="does not fit its own adapter.json"):
        load_adapter(bases("bert"), tmp_path)
    (tmp_path / "adapter.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(UsageError, match="expected an adapter that ofakit wrote"):
        read_adapter(tmp_path)

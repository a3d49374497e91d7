"""Names and keys of VL-Adapter's code, and its numbers in a layer of BART."""

from __future__ import annotations

import json
import re

import pytest
import torch
from ofakit.models.adapters import add_adapters, using_task
from ofakit.models.adapters.stock import adapter_of_stock, rename_stock_key
from safetensors.torch import load_file
from torch import nn
from transformers import BartConfig, BartModel

CASES = [
    "vlbart_single_adapter", "vlt5_single_adapter", "vlt5_multiple_adapters", "vlbart_multiple_adapters_norms",
    "vlbart_single_compacter", "vlbart_multiple_compacters_shared_rule", "vlt5_multiple_compacters",
    "vlbart_hyperformer", "vlt5_hyperformer", "vlbart_hyperformer_one_net_norms", "vlbart_multiple_lora",
    "vlbart_single_lora", "vlbart_multiple_prompts", "vlt5_single_prompt", "vlbart_decoder_prompts",
    "vlbart_low_rank_adapter",
]  # fmt: skip
ADDED = re.compile(r"adapter|phm_rule|hyper_net|lora_|prompt_modules|task_embed")


@pytest.fixture(scope="module", params=CASES)
def case(request, shared):
    folder = shared / "golden" / "vl" / request.param
    if not folder.exists():
        pytest.skip(f"no golden case {folder}")
    return folder


def skeleton(config) -> nn.Module:
    """A BART of the same size, whose layers are called as those of either family are here."""
    sizes = {"d_model": config["d_model"], "vocab_size": 412}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_ffn_dim": 96, f"{side}_attention_heads": 4}
    model = BartModel(BartConfig(**sizes)).eval()
    model.encoder.prompt = model.decoder.prompt = None
    return model


def read(folder):
    config = json.loads((folder / "config.json").read_text())
    weights = {name: value.float() for name, value in load_file(folder / "weights_fp16.safetensors").items()}
    family = "t5" if folder.name.startswith("vlt5") else "bart"
    spec = adapter_of_stock(config)
    renamed = {}
    for name, value in weights.items():
        new = rename_stock_key(name, family, spec)
        assert (new is None) == (ADDED.search(name) is None), name
        if new is not None:
            assert new not in renamed or torch.equal(renamed[new], value), new
            renamed[new] = value
    return config, weights, spec, renamed


def test_every_stock_name_is_one_of_ours(case):
    config, _, spec, renamed = read(case)
    model = add_adapters(skeleton(config), spec)
    ours = {n: p for n, p in model.named_parameters() if "adapter" in n or ".prompt." in n}
    assert {n: tuple(p.shape) for n, p in ours.items()} == {n: tuple(v.shape) for n, v in renamed.items()}


def test_a_layer_gives_the_numbers_of_the_original(case):
    if not case.name.startswith("vlbart") or "prompt" in case.name:
        pytest.skip("the layers of T5 and prompts are looked at in tests/models/vl")
    config, weights, spec, renamed = read(case)
    model = add_adapters(skeleton(config), spec)
    base = {name.removeprefix("model."): value for name, value in weights.items()}
    own = model.state_dict()
    layer = {name: value for name, value in base.items() if name in own and name.startswith("encoder.layers.1.")}
    assert len(layer) == 16
    model.load_state_dict({**layer, **renamed}, strict=False)
    inputs, outputs = (load_file(case / f"{name}.safetensors") for name in ("inputs", "outputs"))
    x, wanted = outputs["encoder_layer.0"], outputs["encoder_layer.1"]
    hidden = torch.zeros(x.shape[:2], dtype=torch.bool)
    hidden[:, : inputs["input_ids"].shape[1]] = inputs["input_ids"] == 1
    mask = torch.zeros(x.shape[0], 1, x.shape[1], x.shape[1]).masked_fill(hidden[:, None, None], -1e30)
    with torch.no_grad(), using_task(model, "vqa"):
        found = model.encoder.layers[1](x, mask)
    found = found if isinstance(found, torch.Tensor) else found[0]
    torch.testing.assert_close(found[~hidden], wanted[~hidden], atol=3e-5, rtol=0)


def test_a_language_model_alone_has_none():
    assert adapter_of_stock({"model_type": "bart", "adapter_config": None, "use_lora": False}) is None
    assert adapter_of_stock({}) is None
    assert rename_stock_key("model.encoder.layers.0.fc1.weight", "bart") is None


def test_a_single_one_is_called_all_and_halves_too():
    key = "model.decoder.layers.1.enc_attn_adapter.adapters.vqa.up_sampler.weight"
    start = "decoder.layers.1.encoder_attn.out_proj.adapter.up"
    assert rename_stock_key(key, "bart", {"tasks": None}) == f"{start}.all.weight"
    assert rename_stock_key(key, "bart", {"tasks": ["vqa"]}) == f"{start}.vqa.weight"
    assert rename_stock_key(key, "bart", {"tasks": ["vqa"], "share_up": True}) == f"{start}.all.weight"
    t5 = "encoder.block.1.layer.1.ff_adapter.adapters.vqa.down_sampler.W"
    assert rename_stock_key(t5, "t5", {"tasks": ["vqa"]}) == "encoder.layers.1.fc2.adapter.down.vqa.weight"

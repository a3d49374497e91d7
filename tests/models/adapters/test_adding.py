"""Adapters in models of every family: what learns, what they cost, and what is refused."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.adapters import ADAPTERS, adapter_of, add_adapters, trainable_share, using_task
from ofakit.models.adapters.adding import adapter_settings, learning_beside, note_adapter
from torch import nn

from tests.models.adapters.small import FAMILIES, KINDS, made, ofa, states, stir
from tests.models.ofa.small import build

EVERYWHERE = [(family, kind) for family in FAMILIES for kind in KINDS]


def test_the_kinds_are_the_files():
    assert ADAPTERS.names() == ["bottleneck", "compacter", "hyperformer", "ia3", "lora", "low_rank", "prompt"]
    assert {ADAPTERS.get(name).merges for name in ("lora", "ia3")} == {True}


@pytest.mark.parametrize(("family", "kind"), EVERYWHERE)
def test_what_is_added_learns_and_changes_the_model(family, kind):
    torch.manual_seed(0)
    model = FAMILIES[family]()
    before, names = states(model), {name for name, _ in model.named_parameters()}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    add_adapters(model, {**KINDS[kind], "layer_norms": False, "visual": False})
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learns and not learns & names
    assert learns | names == {name for name, _ in model.named_parameters()}
    model.eval()
    if kind in ("lora", "ia3"):
        torch.testing.assert_close(states(model), before, atol=2e-6, rtol=1e-5)
    stir(model)
    after = states(model)
    assert (after - before).abs().max() > 1e-3
    after.square().mean().backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    for name, value in weights.items():
        assert torch.equal(model.state_dict()[name], value), name


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_has_its_own(kind):
    model = made("bart", kind, ["vqa", "caption"])
    assert adapter_of(model)["tasks"] == ["vqa", "caption"]
    with torch.no_grad():
        found = {}
        for task in ("vqa", "caption", "vqa"):
            with using_task(model, task):
                found.setdefault(task, []).append(states(model))
    assert torch.equal(*found["vqa"]) and not torch.equal(found["vqa"][0], found["caption"][0])
    with pytest.raises(UsageError, match="adapters for each task, and the chosen task is None"):
        states(model)


def test_tasks_that_share_a_single_one_need_no_choice():
    model = made("bart", "bottleneck")
    with using_task(model, "whatever"):
        assert torch.equal(states(model), states(model))


@pytest.mark.parametrize("family", ["bert", "t5", "bart", "ofa"])
def test_layer_norms_and_biases_learn_on_request(family):
    def learning(**keys):
        model = FAMILIES[family]()
        old = {name for name, _ in model.named_parameters()}
        add_adapters(model, {"type": "lora", "visual": False, **keys})
        return {name for name, p in model.named_parameters() if p.requires_grad and name in old}, model

    assert learning()[0] == set()
    norms, model = learning(layer_norms=True)
    assert norms and all(isinstance(model.get_parameter(name), nn.Parameter) for name in norms)
    kinds = {type(model.get_submodule(name.rpartition(".")[0])).__name__ for name in norms}
    assert all(kind.endswith("LayerNorm") or kind == "FusedRMSNorm" for kind in kinds), kinds
    biases, model = learning(biases=True)
    wanted = {n for n, _ in model.named_parameters() if n.endswith(".bias") and "embed_images" not in n}
    assert biases == wanted
    assert bool(biases) == (family != "t5")


def test_the_backbone_of_ofa_rests_and_its_projection_learns():
    model = add_adapters(ofa(), {"type": "bottleneck"})
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {"encoder.image_proj.weight", "encoder.layers.0.self_attn_layer_norm.bias"} <= learns
    assert not any("embed_images" in name or "embed_tokens" in name for name in learns)
    model.train()
    assert model.visual_frozen and not model.encoder.embed_images.training
    also = add_adapters(ofa(), {"type": "bottleneck", "also": ["visual", "embeddings"]})
    assert also.encoder.embed_tokens.weight.requires_grad and not also.visual_frozen
    assert all(p.requires_grad for p in also.encoder.embed_images.parameters())


def test_the_configuration_of_ofa_says_its_adapters_and_makes_them_again():
    model = made("ofa", "compacter with a shared rule")
    assert model.config.adapter == adapter_of(model) and model.config.adapter["rank"] == 1
    again = build(adapter=model.config.adapter)
    assert again.load_stock_state_dict(model.state_dict()) == ([], [])
    assert torch.equal(states(again.eval()), states(model))
    note_adapter(again, None)
    assert again.config.adapter is None


def test_a_share_counts_every_parameter_once():
    first, second = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    third = nn.Linear(4, 12, bias=False).requires_grad_(False)
    assert trainable_share(nn.Sequential(first, second, third)) == 0.25
    assert trainable_share(nn.Identity()) == 0


def test_adapters_are_made_where_the_model_is():
    with torch.device("meta"):
        model = add_adapters(FAMILIES["bart"](), {"type": "hyperformer"}, ["a", "b"])
    assert {p.device.type for p in model.parameters()} == {"meta"} and 0 < trainable_share(model) < 1
    half = add_adapters(FAMILIES["bert"]().to(torch.bfloat16), {"type": "compacter", "shared_rule": True})
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def test_layers_that_share_their_weight_share_the_adapter():
    torch.manual_seed(0)
    first, second = FAMILIES["bert"](), FAMILIES["bert"]()
    for name, parameter in first.named_parameters():
        owner, _, leaf = name.rpartition(".")
        setattr(second.get_submodule(owner), leaf, parameter)
    pair = add_adapters(nn.ModuleDict({"query": first, "passage": second}), {"type": "bottleneck"})
    stir(pair)
    assert torch.equal(states(pair["query"].eval()), states(pair["passage"].eval()))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "an adapter needs a 'type'"),
        ({"type": "bottlenek"}, "unknown adapter 'bottlenek'.*bottleneck"),
        ({"type": "bottleneck", "reductoin": 4}, "reduction"),
        ({"type": "bottleneck", "reduction": 0}, "reduction"),
        ({"type": "bottleneck", "reduction": 1000}, "is too large for a width of 32"),
        ({"type": "bottleneck", "places": []}, "places"),
        ({"type": "bottleneck", "places": ["cross_attention"]}, "no cross_attention"),
        ({"type": "compacter", "division": 3}, "multiples of division 3"),
        ({"type": "lora", "targets": ["keys"]}, "targets"),
        ({"type": "lora", "tasks": ["vqa", "vqa"]}, "listed twice"),
        ({"type": "lora", "tasks": ["forward"]}, "no task can be called 'forward'"),
        ({"type": "lora", "tasks": ["a.b"]}, "tasks"),
        ({"type": "lora", "also": ["visual"]}, "has no named parts"),
        ({"type": "prompt"}, "does not support prompts"),
        ({"type": "prompt", "encoder_length": 0}, "there would be no prompt"),
    ],
)
def test_what_cannot_be_is_refused(spec, message):
    model = FAMILIES["bert"]()
    before = [name for name, _ in model.named_parameters()]
    with pytest.raises(UsageError, match=f"(?s){message}"):
        add_adapters(model, spec)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == before


def test_a_second_adapter_and_a_model_without_layers_are_refused():
    model = made("bert", "lora")
    with pytest.raises(UsageError, match="already has adapters"):
        add_adapters(model, {"type": "bottleneck"})
    with pytest.raises(UsageError, match="already has adapters"):
        add_adapters(nn.ModuleDict({"inner": model}), {"type": "bottleneck"})
    with pytest.raises(UsageError, match="cannot sit in a Linear"):
        add_adapters(nn.Linear(2, 2), {"type": "lora"})
    with pytest.raises(UsageError, match="no part 'vision'"):
        add_adapters(ofa(), {"type": "lora", "also": ["vision"]})


def test_what_learns_beside_is_the_same_before_and_after():
    settings = adapter_settings({"type": "bottleneck", "biases": True})
    model = ofa()
    before = [id(p) for p in learning_beside(model, settings)]
    add_adapters(model, {"type": "bottleneck", "biases": True})
    names = {id(p): name for name, p in model.named_parameters()}
    assert {id(p) for p in learning_beside(model, settings) if "adapter" not in names[id(p)]} == {*before}

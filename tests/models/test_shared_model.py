"""A network that several tasks share, some of them as the encoder of a retriever."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.adapters import add_adapters
from ofakit.models.adapters.tasks import choose_task
from ofakit.models.shared_model import SharedModel, own_settings_of, retriever_around
from ofakit.models.types import MODELS

TEXTS = [" a calm dog by the sea", " a wild dog in the sea"] * 4
SMALL = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40,
         "encoder_attention_heads": 2, "decoder_attention_heads": 2}  # fmt: skip
OWN = {"vl": {"feat_dim": 6}, "ofa": {"resnet_type": "resnet18", "image_bucket_size": 4, "token_bucket_size": 16}}
KEYS = {"encoder": {"pooling": "mean", "projection": 5, "normalize": True}, "prompts": {"query": "find:"}}


def network_of(kind="vl"):
    torch.manual_seed(0)
    section = ModelSection(
        type=kind, tokenizer={"train_vocab_size": 300, "num_codes": 4, "num_bins": 0}, config={**SMALL, **OWN[kind]}
    )
    built = MODELS.build({"type": kind})
    tokenizer = built.tokenizer(section, TEXTS)
    return built.build(section, tokenizer).eval(), tokenizer


def shared_model(kind="vl", keys=KEYS, adapter=None):
    network, tokenizer = network_of(kind)
    if adapter is not None:
        add_adapters(network, adapter)
    retriever, readings = retriever_around(network, kind, tokenizer, keys)
    return SharedModel(network, kind, {"search": retriever}, {"search": readings}).eval(), tokenizer


def texts(model):
    reading = model.readings["search"]["query"]
    return {"input_ids": torch.tensor(reading.texts.encode(["a dog", "a sea"]))}


@pytest.mark.parametrize("kind", ["vl", "ofa"])
def test_a_task_computes_with_the_network_or_with_the_retriever_around_it(kind):
    model, _ = shared_model(kind)
    retriever = model.for_task("search")
    assert model.for_task("caption") is model.for_task(None) is model.network
    assert retriever.encoder("query") is retriever.encoder("passage") and retriever.settings.prompts == KEYS["prompts"]
    vectors = retriever.embed("query", texts(model), ["text"])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    vectors[0, 0].backward()
    learns = {name for name, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    assert any(name.startswith("network.encoder.layers.0") for name in learns)
    assert any("head" in name for name in learns)


def test_every_weight_is_there_once_and_the_heads_are_not_the_networks():
    model, _ = shared_model()
    own = model.own_state()
    assert len({value.data_ptr() for value in own.values() if value.numel()}) == len(own)
    assert model.heads() and not any(".network." in f".{name}" for name in model.heads())
    count = sum(value.numel() for value in model.network.parameters())
    assert sum(value.numel() for value in model.parameters()) == count + 32 * 5 + 3


def test_parts_are_those_of_the_network_and_the_projection():
    model, _ = shared_model()
    assert set(model.parts()) == {*model.network.parts(), "projection"}
    model.freeze(["language_model", "projection"])
    learns = {name for name, value in model.named_parameters() if value.requires_grad}
    assert all("visual_embedding" in name or name.endswith(("logit_scale", "joint_weights")) for name in learns)
    with pytest.raises(UsageError, match="the model has no part 'visul'"):
        model.freeze(["visul"])


@pytest.mark.parametrize("kind", ["vl", "ofa"])
@torch.no_grad()
def test_the_chosen_tasks_adapters_are_used_inside_the_retriever(kind):
    adapter = {"type": "bottleneck", "reduction": 8, "tasks": ["caption", "search"]}
    model, _ = shared_model(kind, adapter=adapter)
    retriever, found = model.for_task("search"), {}
    for name in adapter["tasks"]:
        choose_task(model, name)
        found[name] = retriever.embed("query", texts(model), ["text"])
    assert not torch.equal(found["caption"], found["search"])


@pytest.mark.parametrize("kind", ["vl", "ofa"])
@torch.no_grad()
def test_a_retrievers_own_settings_make_it_again_around_its_network(kind):
    model, tokenizer = shared_model(kind)
    retriever = model.for_task("search")
    again, _ = retriever_around(model.network, kind, tokenizer, own_settings_of(retriever))
    assert again.settings == retriever.settings
    again.take_heads(retriever)
    vectors = (made.eval().embed("query", texts(model), ["text"]) for made in (again, retriever))
    assert torch.equal(*vectors)


@pytest.mark.parametrize(
    ("kind", "keys", "message"),
    [
        ("vl", {"encoder": {"size": "base"}}, "size: the encoder is the network that the tasks share"),
        ("vl", {"passage_encoder": {"type": "bag"}}, "passage_encoder: the encoder is the network"),
        ("vl", {"encoder": {"poling": "mean"}}, "unknown key 'poling'"),
        ("bag", {}, "a model of the type 'bag' cannot encode for a retriever"),
        ("nothing", {}, "a model of the type 'nothing' cannot encode for a retriever"),
    ],
)
def test_what_no_retriever_can_be_made_of_is_refused(kind, keys, message):
    network, tokenizer = network_of("vl")
    with pytest.raises(UsageError, match=message):
        retriever_around(network, kind, tokenizer, keys)

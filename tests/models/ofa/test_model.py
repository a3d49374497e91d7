"""The model's variants, its vocabulary, its configuration and what can be frozen."""

import subprocess
import sys

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.ofa import autocast, freeze, generate

from tests.models.ofa.small import build, inputs

VARIANTS = {
    "gains": {"use_gamma_feature": True, "gamma": 0.5},
    "drop path": {"encoder_drop_path_rate": 0.3, "decoder_drop_path_rate": 0.3, "resnet_drop_path_rate": 0.2},
    "layer drop": {"encoder_layerdrop": 0.5, "decoder_layerdrop": 0.5},
    "entangled": {"entangle_position_embedding": True},
    "entangled encoder": {"entangle_position_embedding": True, "disable_entangle": True},
    "shared bias": {"share_attn_bias": True},
    "scaled": {"scale_embedding": True},
    "no normformer": {"normformer": False},
    "normalised after": {"encoder_normalize_before": False, "decoder_normalize_before": False},
    "no embedding norms": {"layernorm_embedding": False, "patch_layernorm_embedding": False},
    "no code norm, no types": {"code_layernorm_embedding": False, "add_type_embedding": False},
    "own projection": {"share_decoder_input_output_embed": False},
    "relu": {"activation_function": "relu"},
    "dropout": {"dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1},
    "interpolated": {"interpolate_position": True, "orig_patch_image_size": 32},
    "heads": {"exclude_mlp": False, "temperature_init_value": 0.07},
}


@pytest.mark.parametrize("keys", VARIANTS.values(), ids=VARIANTS)
def test_variants_train_and_step(keys):
    model, batch = build(**keys), inputs()
    model.train()
    model(**batch).logits.logsumexp(-1).sum().backward()
    assert torch.isfinite(model.encoder.embed_tokens.weight.grad).all()
    model.eval()
    ids = batch.pop("decoder_input_ids")
    with torch.no_grad():
        encoded = model.encode(**batch)
        whole = model.decode(ids, encoded)
        state = model.decoder.start(encoded, 1, 4)
        steps = torch.stack([model.decoder.step(ids[:, t], state) for t in range(4)], 1)
    torch.testing.assert_close(steps, whole, atol=2e-5, rtol=1e-4)


TEXTS = torch.tensor([[5, 6, 7]]).expand(3000, -1)


def embedded_by_decoder(model):
    with torch.no_grad():
        encoded = model.encode(TEXTS[:1]).select(torch.zeros(len(TEXTS), dtype=torch.long))
    return model.decoder(TEXTS, encoded, output_hidden_states=True)[1][0]


def branch(layer, x):
    return layer.branch(x, lambda y: y, torch.nn.Identity(), None, None)


RANDOM_PARTS = {
    "embeddings": ("dropout", lambda model, _: model.encode(TEXTS, output_hidden_states=True).hidden_states[0]),
    "decoder's embeddings": ("dropout", lambda model, _: embedded_by_decoder(model)),
    "branch": ("dropout", lambda model, x: branch(model.encoder.layers[0], x)),
    "drop path": ("encoder_drop_path_rate", lambda model, x: branch(model.encoder.layers[1], x)),
    "decoder's drop path": ("decoder_drop_path_rate", lambda model, x: branch(model.decoder.layers[1], x)),
    "attention": ("attention_dropout", lambda model, x: model.encoder.layers[1].self_attn(x)),
    "decoder's attention": ("attention_dropout", lambda model, x: model.decoder.layers[1].self_attn(x)),
    "cross attention": ("attention_dropout", lambda model, x: model.decoder.layers[1].cross_attn(x, x)),
    "feed-forward": ("activation_dropout", lambda model, x: model.encoder.layers[1].feed_forward(x)),
    "decoder's feed-forward": ("activation_dropout", lambda model, x: model.decoder.layers[1].feed_forward(x)),
}


@pytest.mark.parametrize("key, part", RANDOM_PARTS.values(), ids=RANDOM_PARTS)
def test_training_drops_by_chance_and_on_average_gives_what_evaluation_gives(key, part):
    model = build(use_image_feature=False, normformer=False, **{key: 0.4})
    x = torch.randn(1, 3, 32, generator=torch.Generator().manual_seed(1)).expand(len(TEXTS), -1, -1)
    with torch.no_grad():
        found, expected = part(model.train(), x), part(model.eval(), x)[0]
    spread = found.std(0)
    assert (spread > 0).float().mean() > 0.9
    assert ((found.mean(0) - expected).abs() <= 6 * spread / len(found) ** 0.5 + 1e-6).all()


@pytest.mark.parametrize("rate, layers", [(1.0, 0), (0.0, 2)])
def test_layer_drop_is_that_of_its_side(rate, layers):
    model, batch = build(encoder_layerdrop=rate, decoder_layerdrop=1 - rate).train(), inputs()
    ids = batch.pop("decoder_input_ids")
    encoded = model.encode(**batch, output_hidden_states=True)
    assert len(encoded.hidden_states) == 1 + layers
    assert len(model.decoder(ids, encoded, output_hidden_states=True)[1]) == 1 + 2 - layers


def test_text_only_model():
    model, batch = build(use_image_feature=False), inputs()
    del batch["patch_masks"]
    with pytest.raises(UsageError, match="does not read images"):
        model(**batch)
    del batch["patch_images"]
    assert model(**batch).logits.shape == (2, 4, 60)


def test_padding_changes_nothing():
    model, batch = build().eval(), inputs()
    pads = torch.ones(2, 3, dtype=torch.long)
    longer = {**batch, "input_ids": torch.cat([batch["input_ids"], pads], 1)}
    longer["decoder_input_ids"] = torch.cat([batch["decoder_input_ids"], pads], 1)
    with torch.no_grad():
        torch.testing.assert_close(model(**longer).logits[:, :4], model(**batch).logits, atol=1e-5, rtol=1e-4)


def test_a_missing_image_is_as_no_image():
    model, batch = build().eval(), inputs()
    masked = {**batch, "patch_masks": torch.zeros(2, dtype=torch.bool)}
    without = {k: v for k, v in batch.items() if not k.startswith("patch")}
    with torch.no_grad():
        torch.testing.assert_close(model(**masked).logits, model(**without).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_resizing_the_vocabulary_keeps_what_was_learnt(tied):
    model, batch = build(share_decoder_input_output_embed=tied).eval(), inputs()
    with torch.no_grad():
        before = model(**batch).logits
        model.resize_token_embeddings(64)
        after = model(**batch).logits
    assert after.shape[-1] == 64 and model.config.vocab_size == 64
    torch.testing.assert_close(after[..., :60], before)
    assert (model.output_embedding is model.encoder.embed_tokens.weight) == tied
    assert model.load_stock_state_dict(model.state_dict()) == ([], [])


@pytest.mark.parametrize("table, most", [(6, 8), (2000, 1024)])
def test_texts_beyond_the_position_tables_are_refused_everywhere(table, most):
    model = build(max_position_embeddings=table, use_image_feature=False).eval()
    fits, too_long = torch.full((1, most), 5), torch.full((1, most + 1), 5)
    encoded = model.encode(fits)
    assert model.decode(fits, encoded).shape[1] == most
    message = f"a text of {most + 1} tokens is too long; the model has {most} positions"
    for overrun in (
        lambda: model.encode(too_long),
        lambda: model(input_ids=fits, decoder_input_ids=too_long),
        lambda: model.decoder.start(encoded, num_beams=1, max_length=most + 1),
        lambda: generate(model, {"input_ids": fits[:, :2]}, max_length=most),
    ):
        with pytest.raises(UsageError, match=message):
            overrun()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("parts", [["visual"], ["embeddings"], ["encoder"], ["visual", "embeddings", "encoder"]])
def test_frozen_parts_do_not_move(parts, tied):
    model, batch = build(share_decoder_input_output_embed=tied), inputs()
    total = freeze(model, parts)
    assert 0 < total <= sum(p.numel() for p in model.parameters())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1.0)
    model.train()
    model(**batch).logits.logsumexp(-1).sum().backward()
    optimizer.step()
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    frozen = {
        "visual": ("encoder.embed_images.",),
        "embeddings": ("encoder.embed_tokens.", "decoder.output_projection."),
        "encoder": ("encoder.embed_images.", "encoder.layers.", "encoder.pos", "encoder.image_proj"),
    }
    prefixes = tuple(p for part in parts for p in frozen[part])
    assert moved and not [k for k in moved if k.startswith(prefixes)]
    if "visual" not in parts and "encoder" not in parts:
        assert any("running_mean" in k for k in moved)


def test_freezing_refuses_unknown_parts():
    with pytest.raises(UsageError, match="no part 'visuals': did you mean 'visual'"):
        freeze(build(), ["visuals"])
    text_only = build(use_image_feature=False)
    with pytest.raises(UsageError, match="cannot freeze 'visual': this model does not read images"):
        text_only.freeze(["embeddings", "visual"])
    assert all(parameter.requires_grad for parameter in text_only.parameters())
    assert text_only.freeze(["encoder"]) > 0 and not text_only.visual_frozen


@pytest.mark.parametrize(
    "keys", [{}, {"use_image_feature": False}, {"share_decoder_input_output_embed": False}], ids=str
)
def test_the_parts_of_a_model(keys):
    model = build(**keys)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {part: {names[id(parameter)] for parameter in model.parameters_of(part)} for part in model.parts()}
    visual = {name for name in names.values() if name.startswith("encoder.embed_images.")}
    tokens = {name for name in names.values() if "embed_tokens" in name or "output_projection" in name}
    encoder = {name for name in names.values() if name.startswith("encoder.") and "embed_tokens" not in name}
    assert found == {**({"visual": visual} if visual else {}), "embeddings": tokens, "encoder": encoder}
    assert bool(visual) == ("use_image_feature" not in keys) and len(tokens) == (2 if "share" in str(keys) else 1)


@pytest.mark.parametrize("parts", [["visual"], ["encoder"]])
def test_a_frozen_backbone_stays_in_evaluation_mode(parts):
    model = build()
    model.train()
    assert model.encoder.embed_images.training
    model.freeze(parts)
    for mode in (None, True, False, True):
        model = model if mode is None else model.train(mode)
        assert not any(module.training for module in model.encoder.embed_images.modules())
        assert model.encoder.layers[0].training == (mode is not False) == model.decoder.training


def test_what_the_encoder_gets_of_a_batch():
    model = build()
    batch = {"input_ids": 1, "patch_images": 2, "patch_masks": 4, "index": 5, "target": 6}
    assert list(model.encoder_inputs(batch).items()) == [("input_ids", 1), ("patch_images", 2), ("patch_masks", 4)]
    shown = model.encoder_inputs({**batch, "patch_features": 3})
    assert list(shown.items()) == [("input_ids", 1), ("patch_features", 3), ("patch_masks", 4)]
    assert model.encoder_inputs({"input_ids": 1, "patch_features": None, "patch_images": None}) == {"input_ids": 1}
    assert model.encoder_inputs({"net_input": batch}) == model.encoder_inputs(batch)
    with pytest.raises(UsageError, match="expected input_ids, .* found index"):
        model.encoder_inputs({"index": 5})


@pytest.mark.parametrize("autocasting", [False, True])
def test_features_of_a_frozen_backbone_stand_for_the_images_bit_for_bit(autocasting):
    model, batch = build(), inputs()
    model.train()
    assert model.with_frozen_features(batch) is batch
    model.freeze(["visual"])
    with autocast("cpu", "bf16" if autocasting else "fp32"):
        shown = model.with_frozen_features(batch)
        assert shown.keys() - batch.keys() == {"patch_features"} and not shown["patch_features"].requires_grad
        found = model.encode(**model.encoder_inputs(shown))
        assert torch.equal(found.last_hidden_state, model.encode(**model.encoder_inputs(batch)).last_hidden_state)
    text = {"input_ids": batch["input_ids"]}
    assert model.with_frozen_features(text) is text


@torch.no_grad()
def test_steps_of_the_contract_are_those_of_the_decoder():
    model, batch = build().eval(), inputs()
    ids = batch.pop("decoder_input_ids")
    encoded = model.encode(**batch)
    steps = model.start(encoded, 2, 4)
    steps.step(ids[:, 0])
    past = torch.stack([ids[:, 0].repeat_interleave(2), torch.tensor([9, 10, 11, 12])], 1)
    second = steps.step(past[:, 1])
    whole = model.decode(past, encoded.select(torch.tensor([0, 0, 1, 1])))
    torch.testing.assert_close(second, whole[:, 1], atol=2e-5, rtol=1e-4)
    steps.reorder(torch.tensor([1, 0, 3, 3]))
    steps.select(torch.tensor([1]))
    past = torch.cat([past[[3, 3]], torch.tensor([[13], [14]])], 1)
    third = steps.step(past[:, 2])
    whole = model.decode(past, encoded.select(torch.tensor([1, 1])))
    torch.testing.assert_close(third, whole[:, 2], atol=2e-5, rtol=1e-4)


def test_special_tokens_are_those_of_the_configuration():
    model = build(bos_token_id=7, pad_token_id=3, eos_token_id=9, decoder_start_token_id=7)
    assert model.special_tokens == (7, 3, 9)


def test_importing_the_room_loads_no_torch():
    code = "import sys, ofakit.models.ofa, ofakit.objectives; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

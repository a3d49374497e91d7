"""Generation with a small OFA: padding, batches, modes, precision, and training afterwards."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.generation.generate import score_sequences
from ofakit.models.ofa import OFAConfig, OFAModel, generate

SIDES = {"layers": 2, "ffn_dim": 64, "attention_heads": 4}


@pytest.fixture
def model() -> OFAModel:
    torch.manual_seed(0)
    sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in SIDES.items()}
    model = OFAModel(OFAConfig(vocab_size=400, d_model=32, resnet_type="resnet18", dropout=0.1, **sizes))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.5 if "rel_pos" in name else 0.2)
    return model.eval()


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 400, (4, 7), generator=generator)
    ids[:, 0], ids[:, -1] = 0, 2
    images = torch.randn(4, 3, 64, 64, generator=generator)
    return {"input_ids": ids, "patch_images": images, "patch_masks": torch.tensor([True, True, False, True])}


SEARCH = {"num_beams": 4, "num_return_sequences": 3, "max_length": 8}
SAMPLING = {"do_sample": True, "num_return_sequences": 3, "max_length": 8, "top_p": 0.9, "seed": 5}


def take(inputs: dict, places: list[int]) -> dict:
    return {name: value[places] for name, value in inputs.items()}


def same(found, wanted, tolerance: float = 1e-4) -> None:
    assert [[h.tokens for h in one] for one in found] == [[h.tokens for h in one] for one in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=tolerance)


@pytest.mark.parametrize("settings", [SEARCH, SAMPLING])
def test_padding_changes_nothing(model, inputs, settings):
    pad = torch.ones(4, 5, dtype=torch.long)
    padded = {**inputs, "input_ids": torch.cat([inputs["input_ids"], pad], 1)}
    same(generate(model, padded, **settings), generate(model, inputs, **settings))


@pytest.mark.parametrize("settings", [SEARCH, SAMPLING])
def test_batches_of_one_and_permutations(model, inputs, settings):
    whole = generate(model, inputs, **settings)
    seed = settings.get("seed", 0)
    for place in range(4):
        alone = generate(model, take(inputs, [place]), **{**settings, "seed": seed + place})
        same(alone, whole[place : place + 1])
    order = [2, 0, 3, 1]
    turned = generate(model, take(inputs, order), **{**settings, "seed": [seed + place for place in order]})
    same(turned, [whole[place] for place in order])


def test_sampled_scores_are_those_of_whole_sequences(model, inputs):
    found = generate(model, inputs, **{**SAMPLING, "num_return_sequences": 1})
    scores = score_sequences(model, inputs, [one[0].tokens for one in found])
    for row, (hypothesis,) in zip(scores, found, strict=True):
        assert float(row.sum()) / len(hypothesis.tokens) == pytest.approx(hypothesis.score, abs=1e-4)


def test_every_module_keeps_its_mode(model, inputs):
    model.train()
    model.encoder.embed_images.eval()
    modes = [module.training for module in model.modules()]
    same(generate(model, inputs, **SEARCH), generate(model.eval(), inputs, **SEARCH))
    model.train()
    model.encoder.embed_images.eval()
    generate(model, inputs, **SEARCH)
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ValueError, match="allowed_tokens"):
        generate(model, inputs, allowed_tokens=[400])
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("autocast", [False, True])
def test_training_goes_on_afterwards(model, inputs, autocast):
    def loss() -> torch.Tensor:
        return model(**inputs, decoder_input_ids=inputs["input_ids"]).logits.float().square().mean()

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss().backward()
        wanted = model.encoder.embed_tokens.weight.grad.clone()
        model.zero_grad()
        generate(model, inputs, **SEARCH)
        loss().backward()
    assert torch.equal(model.encoder.embed_tokens.weight.grad, wanted)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("settings", [SEARCH, SAMPLING])
def test_half_precision_weights(model, inputs, dtype, settings):
    model.to(dtype)
    found = generate(model, inputs, **settings)
    scores = score_sequences(model, inputs, [one[0].tokens for one in found])
    for row, one in zip(scores, found, strict=True):
        assert len(one) == 3
        assert float(row.sum()) / len(one[0].tokens) == pytest.approx(one[0].score, abs=0.05)


def test_autocast_is_close_to_full_precision(model, inputs):
    wanted = generate(model, inputs, **SEARCH)
    with torch.autocast("cpu", torch.bfloat16):
        found = generate(model, inputs, **SEARCH)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours[0].score == pytest.approx(theirs[0].score, abs=0.05)


def test_text_alone(model, inputs):
    text = {"input_ids": inputs["input_ids"]}
    whole = generate(model, text, **SEARCH)
    same(generate(model, take(text, [1, 3]), **SEARCH), [whole[1], whole[3]])


def test_a_stock_sample_will_do(model, inputs):
    assert generate(model, {"net_input": inputs, "index": 3}, **SEARCH) == generate(model, inputs, **SEARCH)


def test_images_in_another_precision_will_do(model, inputs):
    doubled = {**inputs, "patch_images": inputs["patch_images"].double()}
    assert generate(model, doubled, **SEARCH) == generate(model, inputs, **SEARCH)


def test_a_batch_without_text_is_refused_by_what_it_holds(model, inputs):
    del inputs["input_ids"]
    with pytest.raises(UsageError, match="expected input_ids, .* found patch_images, patch_masks"):
        generate(model, inputs)

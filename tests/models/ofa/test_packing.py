"""A model prepared for inference gives what the model gives."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models import packed_linear
from ofakit.models.generation.generate import score_sequences
from ofakit.models.ofa import OFAConfig, OFAModel, generate, packing, prepare_for_inference


def random_model(**keys) -> OFAModel:
    torch.manual_seed(0)
    sides = {"layers": 2, "ffn_dim": 1024, "attention_heads": 4}
    sizes = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()}
    model = OFAModel(OFAConfig(**{"vocab_size": 5000, "d_model": 64, "resnet_type": "resnet18", **sizes, **keys}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                parameter.normal_(std=0.5 if "rel_pos" in name else 0.15)
            elif parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(std=0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return model


def random_inputs(pixels: tuple[int, int]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 5000, (3, 7), generator=generator)
    ids[1, 5:] = 1
    images = torch.randn(3, 3, *pixels, generator=generator)
    return {"input_ids": ids, "patch_images": images, "patch_masks": torch.tensor([True, True, False])}


VARIANTS = [
    {},
    {"normformer": False},
    {"activation_function": "relu"},
    {"activation_function": "gelu_new"},
    {"share_attn_bias": True, "use_gamma_feature": True, "gamma": 0.7},
    {"encoder_normalize_before": False, "decoder_normalize_before": False},
    {"share_decoder_input_output_embed": False},
]


@pytest.mark.parametrize("keys", VARIANTS, ids=str)
@pytest.mark.parametrize("packed", [True, False])
def test_full_precision_changes_no_hypothesis(keys: dict, packed: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed_linear, "SMALL_FP32", 0)
    if not packed:
        monkeypatch.setattr(packing, "packs", lambda device, dtype: False)
    model = random_model(**keys)
    fast = prepare_for_inference(model)
    for pixels in ((64, 64), (160, 144), (64, 64)):
        inputs = random_inputs(pixels)
        wanted = generate(model, inputs, num_return_sequences=5)
        found = generate(fast, inputs, num_return_sequences=5)
        assert [[h.tokens for h in one] for one in found] == [[h.tokens for h in one] for one in wanted]
        for ours, theirs in zip(found, wanted, strict=True):
            assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=2e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("allowed_tokens", [None, [5, 6, 7, 8]])
def test_half_precision_is_close(precision: str, allowed_tokens: list[int] | None):
    model, inputs = random_model(), random_inputs((160, 160))
    fast = prepare_for_inference(model, precision)
    found = generate(fast, inputs, allowed_tokens=allowed_tokens)
    tokens = [one[0].tokens for one in found]
    scores = score_sequences(model, inputs, tokens, allowed_tokens=allowed_tokens)
    for row, (hypothesis,) in zip(scores, found, strict=True):
        assert hypothesis.score == pytest.approx(float(row.sum()) / len(hypothesis.tokens), abs=0.1)


@pytest.mark.parametrize("packed", [True, False])
def test_the_model_itself_stays_as_it_was(packed: bool, monkeypatch: pytest.MonkeyPatch):
    if not packed:
        monkeypatch.setattr(packing, "packs", lambda device, dtype: False)
    model = random_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = prepare_for_inference(model, "bf16")
    generate(fast, random_inputs((64, 64)))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) and value.dtype == after[name].dtype for name, value in before.items())
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert not fast.training and not any(parameter.requires_grad for parameter in fast.parameters())


def test_text_alone():
    model = random_model(use_image_feature=False)
    text = {"input_ids": random_inputs((64, 64))["input_ids"]}
    wanted, found = generate(model, text), generate(prepare_for_inference(model), text)
    assert [one[0].tokens for one in found] == [one[0].tokens for one in wanted]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [(6, 7), (1, 1), (2, 9)])
def test_pooling_of_what_is_not_negative(dtype: torch.dtype, size: tuple[int, int]):
    x = torch.randn(2, 5, *size).relu().to(dtype).contiguous(memory_format=torch.channels_last)
    wanted = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    assert torch.equal(packing.PositiveMaxPool()(x), wanted)


def test_unknown_precision():
    with pytest.raises(UsageError, match="unknown precision 'bf61': did you mean 'bf16'?"):
        prepare_for_inference(random_model(), "bf61")

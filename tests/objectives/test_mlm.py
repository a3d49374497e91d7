"""Whole-word MLM: the caption with holes in it is asked for whole, and no image is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES

from .conftest import batch_with_views, make_bundle, prepared, words_of


def test_mlm_asks_for_the_whole_text_with_the_holes_between_the_quotes(bundle, examples):
    objective = prepared("mlm", bundle, examples, ratio=0.5)
    view = objective.view(examples[0], np.random.default_rng(1))
    source = words_of(bundle, view["input_ids"])
    assert source.startswith('<s> what is the complete text of "') and source.endswith(' "?</s>')
    assert "<mask>" in source and "lovely red dog plays in the sunny" not in source
    assert words_of(bundle, view["target"]) == " a lovely red dog plays in the sunny garden</s>"
    assert view["decoder_input_ids"].tolist() == [0, *view["target"].tolist()[:-1]]
    untouched = prepared("mlm", bundle, examples, ratio=0.0).view(examples[0], np.random.default_rng(1))
    assert words_of(bundle, untouched["input_ids"]) == (
        '<s> what is the complete text of " a lovely red dog plays in the sunny garden "?</s>'
    )


def test_mlm_sees_no_image_which_equals_a_missing_one(bundle, examples):
    bundle.model.eval()
    objective = prepared("mlm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"mlm": objective})
    loss, _ = objective(bundle.model, batch, 10.0, 0)
    zeros, nobody = torch.zeros_like(batch["patch_images"]), torch.zeros(4, dtype=torch.bool)
    encoded = bundle.model.encode(batch["mlm/input_ids"], zeros, nobody)
    hidden = bundle.model.decode(batch["mlm/decoder_input_ids"], encoded)
    logits, target = hidden @ bundle.model.output_embedding.t(), batch["mlm/target"]
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), target.flatten(), ignore_index=1, reduction="sum"
    )
    assert loss.item() == pytest.approx(expected.item() / 10, rel=1e-5)


def test_mlm_takes_plain_text(bundle, examples):
    objective = prepared("mlm", bundle, examples)
    text = replace(examples[0], image=None, style=None)
    batch = batch_with_views(bundle, [text], {"mlm": objective})
    assert not batch["patch_masks"].any()
    objective(bundle.model, batch, 1.0, 0)[0].backward()
    assert bundle.model.output_embedding.grad.abs().sum() > 0


def test_of_a_long_caption_the_last_tokens_are_asked_for(bundle, examples):
    whole = prepared("mlm", bundle, examples).view(examples[0], np.random.default_rng(0))["target"]
    short = prepared("mlm", bundle, examples, max_length=3).view(examples[0], np.random.default_rng(0))["target"]
    assert len(whole) > 4 and short.tolist() == whole.tolist()[-4:]


def test_the_normalizer_counts_target_tokens_and_no_padding(bundle, examples):
    objective = prepared("mlm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"mlm": objective})
    lengths = [len(bundle.codec().caption(example.text)) + 1 for example in examples]
    assert len(set(lengths)) > 1 and objective.normalizer(batch) == sum(lengths)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"ratio": 1.5}, "ratio in"),
        ({"label_smoothing": 1.0}, "mlm: .*label_smoothing.*found 1.0"),
        ({"max_length": 0}, "mlm: .*max_length.* and 0"),
    ],
)
def test_numbers_out_of_range_are_refused(keys, words):
    with pytest.raises(UsageError, match=words):
        OBJECTIVES.build({"type": "mlm", **keys})


@pytest.mark.parametrize("replace_length", [-1, 0, 1])
def test_mlm_never_outgrows_the_positions_of_the_model(examples, replace_length):
    small = make_bundle(max_position_embeddings=64)
    objective = prepared("mlm", small, examples, replace_length=replace_length, poisson_lambda=0.5, ratio=0.9)
    for words in (1, 20, 40, 200):
        example = replace(examples[0], text="a red dog " * words)
        for seed in range(20):
            view = objective.view(example, np.random.default_rng(seed))
            assert len(view["input_ids"]) <= 64 and len(view["decoder_input_ids"]) <= 64
            assert words_of(small, view["input_ids"]).endswith(' "?</s>')
    with pytest.raises(UsageError, match="mlm: the prompt takes .* tokens, but the model has only 8 positions"):
        prepared("mlm", make_bundle(max_position_embeddings=8), examples).view(examples[0], np.random.default_rng(0))

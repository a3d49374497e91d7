"""Style MLM: the words that bear the style go first, and image and style are there to say them from."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES

from .conftest import batch_with_views, prepared, words_of


def test_style_mlm_masks_style_bearing_words_first_and_exactly_the_budget(bundle, examples):
    objective = prepared("style_mlm", bundle, examples * 5, ratio=0.34, min_score=0.1)
    bearing = {"lovely", "plays", "sunny"}
    assert bearing <= set(objective.scores["happy"]) and not bearing & set(objective.scores["gloomy"])
    for seed in range(8):
        view = objective.view(examples[0], np.random.default_rng(seed))
        source = words_of(bundle, view["input_ids"])
        assert source.count("<mask>") == math.ceil(9 * 0.34) == 4
        assert not bearing & set(source.replace('"', " ").split()) and "personality<code_0>" in source.replace(" ", "")
        assert words_of(bundle, view["target"]) == " a lovely red dog plays in the sunny garden</s>"
    other = words_of(
        bundle, objective.view(replace(examples[0], style="gloomy"), np.random.default_rng(0))["input_ids"]
    )
    assert bearing & set(other.split()) and "<code_1>" in other


def test_style_mlm_looks_at_the_image(bundle, examples):
    bundle.model.eval()
    objective = prepared("style_mlm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"style_mlm": objective})
    one = objective(bundle.model, batch, 1.0, 0)[0]
    other = objective(bundle.model, {**batch, "patch_images": -batch["patch_images"]}, 1.0, 0)[0]
    assert one.item() != other.item()


def test_style_mlm_of_one_style_is_refused(bundle, examples):
    with pytest.raises(UsageError, match="two styles"):
        prepared("style_mlm", bundle, examples[:2])


def test_each_token_of_a_word_may_have_a_mask_of_its_own(bundle, examples):
    long = replace(examples[0], text="a hippopotamus plays")
    objectives = [prepared("style_mlm", bundle, examples, ratio=1.0, replace_length=length) for length in (1, -1)]
    words, tokens = (objective.view(long, np.random.default_rng(0))["input_ids"] for objective in objectives)
    mask = bundle.tokenizer.mask_token_id
    assert (words == mask).sum() == 3 < (tokens == mask).sum() == len(bundle.codec().caption(long.text))


def test_a_word_that_is_deleted_is_no_choice():
    with pytest.raises(UsageError, match="replace_length -1 or 1, found 0"):
        OBJECTIVES.build({"type": "style_mlm", "replace_length": 0})

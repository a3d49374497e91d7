"""BART's denoising: captions with masked spans of words are asked for whole, beside the image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES

from .conftest import batch_with_views, make_bundle, prepared, words_of

TEXT = "a lovely red dog plays in the sunny garden"


def test_the_source_has_a_mask_for_every_span_and_the_target_is_whole(bundle, examples):
    objective = prepared("denoising", bundle, examples)
    seen = set()
    for seed in range(30):
        view = objective.view(examples[0], np.random.default_rng(seed))
        source = words_of(bundle, view["input_ids"])
        assert source.startswith("<s>denoise text: ") or source.startswith("<s>denoise text:<mask>")
        assert source.endswith("</s>") and words_of(bundle, view["target"]) == f" {TEXT}</s>"
        assert view["decoder_input_ids"].tolist() == [0, *view["target"].tolist()[:-1]]
        left = source.removeprefix("<s>denoise text:").removesuffix("</s>").replace("<mask>", " ").split()
        assert len(left) == 9 - 2 and "<mask><mask>" not in source
        seen.add(source)
    assert len(seen) > 10


def test_the_image_is_seen(bundle, examples):
    bundle.model.eval()
    objective = prepared("denoising", bundle, examples)
    batch = batch_with_views(bundle, examples, {"denoising": objective})
    count = objective.normalizer(batch)
    other = objective(bundle.model, {**batch, "patch_images": batch["patch_images"].flip(0)}, count, 0)[0]
    assert objective(bundle.model, batch, count, 0)[0].item() != pytest.approx(other.item(), rel=1e-6)


def test_a_text_that_spells_a_mask_has_none(bundle, examples):
    objective = prepared("denoising", bundle, examples, ratio=0.0)
    spelled = replace(examples[0], text="<mask>", references=("<mask>",))
    bundle.preprocessor.strip_punctuation = False
    objective.codec = bundle.codec()
    view = objective.view(replace(spelled, text="one <mask> two three four"), np.random.default_rng(0))
    assert view["target"].tolist().count(bundle.tokenizer.mask_token_id) == 0
    assert view["input_ids"].tolist().count(bundle.tokenizer.mask_token_id) == 1


def test_long_captions_fit_the_positions_of_the_model(examples):
    bundle = make_bundle(max_position_embeddings=40)
    objective = prepared("denoising", bundle, examples)
    long = replace(examples[0], text=TEXT * 20)
    view = objective.view(long, np.random.default_rng(0))
    assert len(view["input_ids"]) <= 40 and len(view["target"]) <= 40
    batch = batch_with_views(bundle, [long], {"denoising": objective})
    objective(bundle.model, batch, objective.normalizer(batch), 0)[0].backward()


def test_a_caption_without_words_is_no_error(bundle, examples):
    objective = prepared("denoising", bundle, examples)
    empty = replace(examples[0], text="!?", references=("!?",))
    view = objective.view(empty, np.random.default_rng(0))
    assert words_of(bundle, view["target"]) == "</s>"


@pytest.mark.parametrize("kind", ["denoising", "span_corruption"])
@pytest.mark.parametrize(("keys", "words"), [({"ratio": 1.1}, "ratio in"), ({"max_length": 0}, "max_length")])
def test_numbers_out_of_range_are_refused(kind, keys, words):
    with pytest.raises(UsageError, match=f"{kind}: .*{words}"):
        OBJECTIVES.build({"type": kind, **keys})

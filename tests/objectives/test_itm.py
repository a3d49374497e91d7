"""Image-text matching: questions with their shares of answers, each of them true, and a loss over the answers alone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.inference.matching import NO, OFA, PERSONALITY, YES, answer_tokens
from ofakit.objectives import OBJECTIVES

from .conftest import CAPTIONS, batch_with_views, prepared, words_of


def test_matching_answers_have_their_shares_and_are_true(bundle, examples):
    objective = prepared("itm", bundle, examples)
    answers = Counter()
    for seed in range(1200):
        example = examples[seed % 4]
        view = objective.view(example, np.random.default_rng(seed))
        source = words_of(bundle, view["input_ids"])
        own_style = f"<code_{bundle.styles.index(example.style)}>" in source
        own_text = example.text in source
        answer = view["answer"].item()
        answers[answer] += 1
        assert (own_text, own_style) == {YES: (True, True), NO: (False, True), PERSONALITY: (True, False)}[answer]
        if answer == NO:
            assert any(text in source for text in CAPTIONS[example.style])
    for answer, share in ((YES, 0.5), (NO, 0.25), (PERSONALITY, 0.25)):
        assert abs(answers[answer] / 1200 - share) < 4 * math.sqrt(share * (1 - share) / 1200)


def test_matching_without_other_styles_asks_only_yes_and_no(bundle, examples):
    happy = [example for example in examples if example.style == "happy"]
    objective = prepared("itm", bundle, happy)
    found = Counter(objective.view(happy[0], np.random.default_rng(s))["answer"].item() for s in range(300))
    assert set(found) == {YES, NO} and abs(found[YES] / 300 - 0.5) < 0.12


def test_matching_loss_looks_only_at_the_three_answers(bundle, examples):
    bundle.model.eval()
    objective = prepared("itm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"itm": objective})
    loss, logs = objective(bundle.model, batch, 4, 0)
    encoded = bundle.model.encode(batch["itm/input_ids"], batch["patch_images"], batch["patch_masks"])
    prefix, tokens = answer_tokens(bundle.tokenizer)
    assert [bundle.tokenizer.encode(answer)[len(prefix)] for answer in OFA.answers] == tokens
    hidden = bundle.model.decode(torch.tensor([[0, *prefix]] * 4), encoded)[:, -1]
    log_p = (hidden @ bundle.model.output_embedding.t())[:, tokens].log_softmax(-1)
    assert loss.item() == pytest.approx(-log_p[torch.arange(4), batch["itm/answer"]].mean().item(), rel=1e-5)
    assert 0 <= logs["accuracy"].item() <= 1


def test_where_no_other_image_has_a_caption_in_the_style_the_answer_is_yes(bundle, examples):
    alone = [examples[0], replace(examples[0], id="again", text="a dog once more"), examples[2]]
    objective = prepared("itm", bundle, alone, no_ratio=1.0, personality_ratio=0.0)
    answers = [objective.view(alone[0], np.random.default_rng(seed))["answer"].item() for seed in range(20)]
    assert answers == [YES] * 20


@pytest.mark.parametrize("shares", [(0.9, 0.2), (-0.1, 0.2)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(UsageError, match=f"at most 1, found no_ratio {shares[0]} and personality_ratio {shares[1]}"):
        OBJECTIVES.build({"type": "itm", "no_ratio": shares[0], "personality_ratio": shares[1]})


def test_an_image_that_is_in_memory_twice_is_no_other_image(bundle, examples):
    pixels = np.full((8, 8, 3), 7, np.uint8)
    alone = [replace(examples[0], image=pixels), replace(examples[0], image=pixels.copy(), text="a dog once more")]
    objective = prepared("itm", bundle, alone, no_ratio=1.0, personality_ratio=0.0)
    assert objective.view(alone[0], np.random.default_rng(0))["answer"].item() == YES

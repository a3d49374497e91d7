"""Questions about a caption, and the answers of which only the tokens compete that tell them apart."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.inference.matching import (
    NO,
    OFA,
    PERSONALITY,
    VL_T5,
    YES,
    Answers,
    answer_logits,
    answer_tokens,
    question,
    wording_of,
)

from tests.objectives.conftest import words_of


class Ids:
    """Encodes the answers as it is told."""

    def __init__(self, *ids):
        self.ids = dict(zip(OFA.answers, ids, strict=True))

    def encode(self, text):
        return self.ids[text]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (([5], [6], [7, 8]), Answers([], [5, 6, 7])),
        (([3, 5], [3, 6, 9], [3, 7]), Answers([3], [5, 6, 7])),
        (([3, 4, 5], [3, 4, 6], [3, 4, 7]), Answers([3, 4], [5, 6, 7])),
    ],
)
def test_the_answers_are_told_apart_by_the_first_token_that_differs(ids, expected):
    assert answer_tokens(Ids(*ids)) == expected


@pytest.mark.parametrize(
    "ids",
    [
        ([3, 5], [3, 6], [4, 7]),
        ([3], [3], [3]),  # a vocabulary that knows none of the words
        ([3], [3, 4], [3, 5]),
        ([3, 3], [3, 3], [3, 3]),
    ],
)
def test_answers_that_no_one_token_tells_apart_are_refused(ids):
    with pytest.raises(
        UsageError, match="expected answers that all differ at one token position, found .*train_vocab_size"
    ):
        answer_tokens(Ids(*ids))


def test_a_question_names_the_style_where_there_is_one(bundle):
    codec = bundle.codec()
    asked = words_of(bundle, question(codec, "A red dog!", "gloomy", 60))
    assert asked == '<s> does the image describe " a red dog " in personality <code_1>?</s>'
    assert words_of(bundle, question(codec, "A red dog!", None, 60)) == '<s> does the image describe " a red dog "?</s>'
    codec.styles = None
    assert words_of(bundle, question(codec, "A red dog!", "gloomy", 60)).endswith('a red dog "?</s>')


def test_a_model_of_regions_is_asked_in_the_words_of_vlt5(bundle, monkeypatch):
    assert wording_of(bundle.model) is OFA
    monkeypatch.setattr(type(bundle.model), "asked_as", "vl-t5")
    assert wording_of(bundle.model) is VL_T5 and VL_T5.answers[:2] == (" true", " false")
    codec = bundle.codec()
    codec.styles = None
    asked = question(codec, "A red dog!", None, 60, VL_T5)
    assert words_of(bundle, asked) == "<s>image text match: a red dog</s>"


def test_of_a_long_caption_the_first_tokens_are_asked_about(bundle):
    codec = bundle.codec()
    caption = codec.caption("a lovely red dog plays in the sunny garden")
    short, whole = (question(codec, "a lovely red dog plays in the sunny garden", None, n) for n in (3, 60))
    assert len(whole) - len(short) == len(caption) - 3
    before = len(codec.fixed(' does the image describe "')) + 1
    assert short[before : before + 3].tolist() == caption[:3]


@pytest.mark.parametrize("prefix", [[], [7, 9]])
def test_the_logits_are_those_of_the_answers_behind_what_they_share(bundle, batch, prefix):
    bundle.model.eval()
    answers = Answers(prefix, [20, 30, 40])
    inputs = {name: batch[name] for name in ("input_ids", "patch_images", "patch_masks")}
    found = answer_logits(bundle.model, inputs, answers)
    hidden = bundle.model.decode(torch.tensor([[0, *prefix]] * 4), bundle.model.encode(**inputs))[:, -1]
    expected = (hidden @ bundle.model.output_embedding.t())[:, [20, 30, 40]]
    torch.testing.assert_close(found, expected)
    assert (YES, NO, PERSONALITY) == (0, 1, 2)


@pytest.mark.parametrize(
    ("dtype", "expected"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)], ids=["bf16", "double"]
)
def test_logits_are_in_fp32_or_more(bundle, batch, dtype, expected):
    model = bundle.model.eval().to(dtype)
    inputs = {"input_ids": batch["input_ids"]}
    assert answer_logits(model, inputs, Answers([], [20, 30, 40])).dtype == expected

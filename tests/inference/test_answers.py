"""From a batch of questions to answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ofakit.config.schema import GenerationSection, PreprocessorSection
from ofakit.config.vqa import VqaSection
from ofakit.data.question import Question
from ofakit.errors import UsageError
from ofakit.hub import AnswerBundle
from ofakit.inference import Answerer
from ofakit.models.generation import rank_sequences
from ofakit.preprocessors.question import CollateQuestions, QuestionPreprocessor

from tests.objectives.conftest import bundle

__all__ = ["bundle"]
QUESTIONS = [Question(str(k), np.full((8, 8, 3), 80 * k, np.uint8), question=f"how many {k}?") for k in range(3)]


@pytest.fixture
def answering(bundle):
    def make(**keys):
        generation = GenerationSection(num_beams=2, max_length=4)
        section = PreprocessorSection(patch_image_size=32)
        return AnswerBundle(bundle.model, bundle.tokenizer, None, section, generation, **keys)

    return make


def batch_of(bundle, questions=QUESTIONS):
    preprocessor, collate = QuestionPreprocessor(bundle), CollateQuestions(bundle.tokenizer.pad_token_id)
    return collate([{**preprocessor(question), "index": 7 + k} for k, question in enumerate(questions)])


def test_generated_answers(answering):
    bundle = answering()
    batch = batch_of(bundle)
    answerer = Answerer(bundle)
    found = answerer(batch)
    assert len(found) == 3 and all(answer.text == answer.text.strip() and answer.score < 0 for answer in found)
    assert list(answerer.batches([batch])) == [(7 + k, answer) for k, answer in enumerate(found)]
    alone = [answerer(batch_of(bundle, [question]))[0] for question in QUESTIONS]
    assert [answer.text for answer in alone] == [answer.text for answer in found]


def test_the_likeliest_of_a_closed_list(answering):
    bundle = answering(vqa=VqaSection(inference="rank"), candidates=("yes", "two dogs", "3.5"))
    answerer, batch = Answerer(bundle), batch_of(bundle)
    found = answerer(batch)
    tokens = [[*bundle.codec().caption(text), bundle.tokenizer.eos_token_id] for text in bundle.candidates]
    moved = {**batch, "patch_images": (batch["patch_images"].float() / 255 - 0.5) / 0.5}
    scores, places = rank_sequences(bundle.model, moved, tokens).max(1)
    assert [answer.text for answer in found] == [bundle.candidates[place] for place in places.tolist()]
    assert [answer.score for answer in found] == pytest.approx(scores.tolist(), abs=1e-4)


@pytest.mark.parametrize("keys", [{}, {"vqa": VqaSection(inference="rank"), "candidates": ("yes", "no")}])
def test_a_model_that_gives_nan_answers_nothing(answering, keys):
    bundle = answering(**keys)
    batch = batch_of(bundle)
    with torch.no_grad():
        bundle.model.output_embedding.fill_(math.nan)
    assert [tuple(answer) for answer in Answerer(bundle)(batch)] == [("", float("-inf"))] * 3


def test_new_images_are_asked_about(answering):
    answerer = Answerer(answering())
    expected = answerer(batch_of(answerer.bundle))
    images = [question.image for question in QUESTIONS]
    asked = [question.question for question in QUESTIONS]
    found = answerer.answer([*images, "none.png"], [*asked, "who?"], batch_size=2)
    assert [one.answer for one in found[:3]] == [answer.text for answer in expected]
    assert found[3].answer is None and "none.png: no such file" in found[3].error
    with pytest.raises(UsageError, match="found 1 and 2"):
        answerer.answer(["a.png", "b.png"], ["who?"])

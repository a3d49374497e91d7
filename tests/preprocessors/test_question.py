"""Questions and answers as tensors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from ofakit.config.schema import PreprocessorSection
from ofakit.data.question import Question
from ofakit.errors import UsageError
from ofakit.hub import AnswerBundle
from ofakit.preprocessors.question import CollateQuestions, QuestionPreprocessor

IMAGE = np.zeros((8, 8, 3), np.uint8)
ASKED = Question("1", IMAGE, question="How many  dogs", references=("two",), scores=(("two", 1.0), ("3.5", 0.25)))


@pytest.fixture
def answering(bundle):
    def make(**keys):
        section = PreprocessorSection(patch_image_size=32, **keys)
        return AnswerBundle(bundle.model, bundle.tokenizer, None, section)

    return make


def test_the_question_stands_in_the_prompt(answering):
    bundle = answering()
    tokenizer = bundle.tokenizer
    sample = QuestionPreprocessor(bundle)(ASKED)
    assert tokenizer.decode(sample["input_ids"].tolist()) == " how many dogs?"
    assert sorted(sample) == ["input_ids", "patch_image", "patch_mask"] and sample["patch_mask"]
    prompted = QuestionPreprocessor(answering(prompt="vqa: {}", lowercase=False))(ASKED)
    assert tokenizer.decode(prompted["input_ids"].tolist()) == "vqa: How many dogs?"
    short = QuestionPreprocessor(answering(max_src_length=4))(ASKED)["input_ids"]
    assert len(short) == 4 and short[-1] == tokenizer.eos_token_id


def test_answers_are_drawn_as_often_as_they_are_right(answering):
    bundle = answering()
    preprocessor = pickle.loads(pickle.dumps(QuestionPreprocessor(bundle, "train")))
    drawn = [preprocessor(ASKED, np.random.default_rng(seed)) for seed in range(200)]
    said = [bundle.tokenizer.decode(sample["target"].tolist()) for sample in drawn]
    assert set(said) == {" two", " 3.5"} and 140 < said.count(" two") < 180
    assert {(text, sample["score"].item()) for text, sample in zip(said, drawn, strict=True)} == {
        (" two", 1.0), (" 3.5", 0.25),
    }  # fmt: skip
    sample = drawn[0]
    assert sample["decoder_input_ids"].tolist() == [bundle.tokenizer.bos_token_id, *sample["target"].tolist()[:-1]]
    again = preprocessor(ASKED, np.random.default_rng(0))
    assert torch.equal(again["target"], sample["target"])


def test_a_question_spells_no_token(answering):
    bundle = answering()
    ids = QuestionPreprocessor(bundle).source("is </s> red?").tolist()
    assert ids.count(bundle.tokenizer.eos_token_id) == 1


def test_a_batch_has_the_scores(answering):
    bundle = answering()
    preprocessor, collate = QuestionPreprocessor(bundle, "train"), CollateQuestions(bundle.tokenizer.pad_token_id)
    batch = collate([{**preprocessor(ASKED, np.random.default_rng(seed)), "index": seed} for seed in range(3)])
    assert batch["score"].shape == (3,) and batch["score"].dtype == torch.float32
    assert batch["target"].shape == batch["decoder_input_ids"].shape
    looking = collate([QuestionPreprocessor(bundle)(ASKED)])
    assert "score" not in looking and "target" not in looking


@pytest.mark.parametrize("prompt", ["what?", "{} and {}"])
def test_a_prompt_without_a_place_for_the_question_is_refused(answering, prompt):
    with pytest.raises(UsageError, match="preprocessor.prompt: expected {} once, in place of the question"):
        QuestionPreprocessor(answering(prompt=prompt))

"""Questions with their passages become a batch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from ofakit.data.bad_examples import BadExamples
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.data.training_question import training_questions
from ofakit.models.reading import Reading, train_byte_pairs
from ofakit.preprocessors.batches import move_batch
from ofakit.preprocessors.retrieval import CollateRetrieval, RetrievalPreprocessor
from ofakit.preprocessors.sides import SideInputs

WORDS = ["zero", "one", "two", "three", "four", "five"]
TEXTS = train_byte_pairs([*WORDS, *WORDS], 400, 16)
BASE = KnowledgeBase([Passage(word, word, image=f"{word}.png") for word in WORDS])
QUERIES = [Query("q0", "what", "q0.png", {"zero": 1, "one": 1}), Query("q1", "which", None, {"two": 1})]
NEGATIVES = {"q0": ["three", "four", "five"]}
SIDES = SideInputs(Reading(TEXTS)), SideInputs(Reading(TEXTS, 8))


def pixels(path):
    return np.full((8, 8, 3), len(path), np.uint8)


@pytest.fixture
def questions():
    return training_questions(QUERIES, BASE, BadExamples(), NEGATIVES)


def sampled(question, seed=0, **keys):
    return RetrievalPreprocessor(*SIDES, BASE, **keys)(question, np.random.default_rng(seed), pixels)


def test_positives_come_first_and_no_passage_twice(questions):
    for seed in range(5):
        sample = sampled(questions[0], seed, positives=2, hard_negatives=2)
        assert sample["positive"].tolist() == [True, True, False, False]
        places = sample["passage_index"].tolist()
        assert set(places[:2]) == {0, 1} and len(set(places)) == 4 and set(places[2:]) < {3, 4, 5}


def test_what_is_drawn_follows_from_the_generator_and_changes(questions):
    drawn = [
        tuple(sampled(questions[0], seed, hard_negatives=1)["passage_index"].tolist()) for seed in (3, 3, *range(20))
    ]
    assert drawn[0] == drawn[1] and len(set(drawn)) == 6


def test_a_question_with_fewer_passages_has_fewer(questions):
    sample = sampled(questions[1], positives=3, hard_negatives=2)
    assert sample["passage_index"].tolist() == [2] and sample["positive"].tolist() == [True]


def test_the_batch_says_whose_each_passage_is(questions):
    samples = [{**sampled(question, hard_negatives=1), "index": 7 + i} for i, question in enumerate(questions)]
    batch = pickle.loads(pickle.dumps(CollateRetrieval(*SIDES)))(samples)
    assert batch["owner"].tolist() == [0, 0, 1] and batch["query_index"].tolist() == [0, 1]
    assert batch["positive"].tolist() == [True, False, True] and batch["index"].tolist() == [7, 8]
    assert batch["passage"]["images"].shape == (3, 3, 8, 8) and "images" not in batch["query"]
    assert batch["passage"]["images"][:, 0, 0, 0].tolist() == [len(f"{WORDS[i]}.png") for i in batch["passage_index"]]
    moved = move_batch(batch, "cpu")
    assert torch.equal(moved["passage"]["input_ids"], batch["passage"]["input_ids"])


def test_teachers_scores_stand_beside_their_passages(questions):
    teacher = {"q0": {"zero": 0.5, "one": 0.25}}
    sample = sampled(questions[0], positives=2, hard_negatives=1, teacher=teacher)
    scores = dict(zip(sample["passage_index"].tolist(), sample["teacher"].tolist(), strict=True))
    assert (scores[0], scores[1]) == (0.5, 0.25) and sample["teacher"].isnan().tolist() == [False, False, True]
    none = sampled(questions[1], teacher=teacher)
    batch = CollateRetrieval(*SIDES)([sample, none])
    assert batch["teacher"].shape == (4,) and batch["teacher"][3].isnan()

"""Training examples are told from others, wherever they lie."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ofakit.data.example import Example
from ofakit.data.fingerprint import examples_fingerprint
from ofakit.data.query import Query
from ofakit.data.training_question import TrainingQuestion

ONE = Example("1", "images/dog.jpg", "a dog", ("a dog", "the dog"), "humorous")
QUESTION = TrainingQuestion(Query("q", "who?", relevant={"p": 1.0}), 0, (3,), (3,), (5,), ("a/x.jpg",))


@pytest.mark.parametrize(
    "change",
    [{"id": "2"}, {"image": "images/cat.jpg"}, {"text": "a cat"}, {"references": ("a dog",)}, {"style": None}],
)
def test_whatever_an_example_says_counts(change):
    assert examples_fingerprint([replace(ONE, **change)]) != examples_fingerprint([ONE])


@pytest.mark.parametrize(
    "change", [{"query": Query("q", "where?")}, {"relevant": (4,)}, {"negatives": ()}, {"image_paths": ("a/y.jpg",)}]
)
def test_a_question_counts_with_its_answers(change):
    assert examples_fingerprint([replace(QUESTION, **change)]) != examples_fingerprint([QUESTION])


def test_their_order_and_number_count_and_their_folder_does_not():
    two = replace(ONE, id="2")
    assert examples_fingerprint([ONE, two]) != examples_fingerprint([two, ONE])
    assert examples_fingerprint([ONE, ONE]).startswith("2 examples ")
    assert examples_fingerprint([replace(ONE, image="/other/dog.jpg")]) == examples_fingerprint([ONE])


def test_texts_that_are_not_unicode_have_one_too():
    odd = [replace(ONE, text="\ud800"), replace(ONE, image="images/\udcff.jpg")]
    assert len({examples_fingerprint([example]) for example in (ONE, *odd)}) == 3

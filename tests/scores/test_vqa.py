"""Soft accuracy is that of the VQA challenge's own evaluation, whose results stand below, corners included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import answer_scores, vqa_accuracy
from ofakit.scores.vqa import normalized_vqa_answer

NORMALIZED = [
    ("The Two dogs", "2 dogs"),
    ("two,dogs", "2 dogs"),
    ("two, dogs", "2 dogs"),
    ("1,000 dogs, cats?", "1000 dogs cats"),
    ("on/off", "on off"),
    ("on / off", "on off"),
    ("no.", "no"),
    ("3.5", "3.5"),
    ("u.s.a.", "usa"),
    ("a.m. 5.", "am 5"),
    ("well-known", "well known"),
    ("- none", "0"),
    ("somebody'd", "somebodyd"),
    ("dont", "don't"),
    ("couldntve", "couldntve"),
    ("couldn'tve", "couldn't've"),
    ("yall'dve", "yall'dve"),
    ("Im", "im"),
    ("ow's'at", "'ow's'at"),
    ("twas", "'twas"),
    ("a the an", ""),
    ("  Zero\tcats\n", "0 cats"),
    ("what?!", "what"),
    ("(left)", "left"),
    ("10 percent", "10 percent"),
]
ACCURACIES = [
    ("2", ["2"] * 1 + ["3"] * 9, 0.3),
    ("2", ["two"] * 2 + ["3"] * 8, 0.6),
    ("2", ["2."] * 3 + ["3"] * 7, 0.9),
    ("2", ["2"] * 4 + ["3"] * 6, 1.0),
    ("2", ["2"] * 10, 1.0),
    ("two", ["2"] * 10, 0.0),
    ("Yes", ["yes"] * 9 + ["Yes."] * 1, 1.0),
    ("Yes", ["yes"] * 10, 0.0),
    ("dont know", ["don't know"] * 5 + ["no"] * 5, 1.0),
    ("", ["a"] * 5 + ["the"] * 5, 1.0),
    ("red", ["red"] * 1 + ["blue"] * 1, 0.1666666667),
    ("red", ["red"] * 3, 0.6666666667),
    ("x", ["y"] * 10, 0.0),
]
"""From the evaluation of github.com/GT-Vision-Lab/VQA at a013f00."""
TEXTS = st.text("ab, .'1?-", max_size=8)


@pytest.mark.parametrize(("text", "expected"), NORMALIZED)
def test_answers_are_normalised_as_in_the_challenge(text, expected):
    assert normalized_vqa_answer(text) == expected


@pytest.mark.parametrize(("candidate", "answers", "expected"), ACCURACIES)
def test_accuracies_are_those_of_the_challenge(candidate, answers, expected):
    assert vqa_accuracy([candidate], [answers]).corpus == pytest.approx(expected, abs=1e-9)


def test_the_corpus_has_the_mean_of_its_items():
    found = vqa_accuracy([case[0] for case in ACCURACIES], [case[1] for case in ACCURACIES])
    np.testing.assert_allclose(found.per_item, [case[2] for case in ACCURACIES], atol=1e-9)
    assert found.corpus == pytest.approx(found.per_item.mean())


@given(TEXTS, st.lists(TEXTS, min_size=2, max_size=10), st.randoms())
def test_the_order_of_annotators_does_not_matter(candidate, answers, random):
    before = vqa_accuracy([candidate], [answers]).corpus
    random.shuffle(answers)
    assert vqa_accuracy([candidate], [answers]).corpus == before and 0 <= before <= 1


@given(st.lists(TEXTS, min_size=2, max_size=10))
def test_scores_for_training_are_the_accuracies(answers):
    for answer, score in answer_scores(answers).items():
        if len({text.strip() for text in answers}) > 1:
            assert vqa_accuracy([answer], [answers]).corpus == pytest.approx(score)


def test_a_digit_behind_more_full_stops_than_the_challenge_takes_away():
    assert normalized_vqa_answer("." * 40) == "." * 8


def test_one_annotator_is_refused():
    with pytest.raises(UsageError, match="several annotators per item, found 1 for item 1"):
        vqa_accuracy(["a", "b"], [["a", "b"], ["b"]])
    with pytest.raises(UsageError, match="nothing to score"):
        vqa_accuracy([], [])

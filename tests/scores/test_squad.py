"""Exact match and F1 as SQuAD's evaluation counts them; the expected numbers are worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import exact_match, token_f1

CASES = [
    ("the Beatles!", ["Beatles"], 1, 1),
    ("John Lennon", ["Lennon"], 0, 2 / 3),
    ("Lennon", ["John Lennon", "J. Lennon"], 0, 2 / 3),
    ("in 1990 and 1990", ["1990"], 0, 2 / 5),
    ("1990 1990", ["1990 or 1990"], 0, 4 / 5),
    ("cat", ["dog", "cat"], 1, 1),
    ("", ["dog"], 0, 0),
    ("a the", ["an"], 1, 0),
    ("well-known", ["wellknown"], 1, 1),
    ("A  dog", ["dog a"], 1, 1),
]
WORDS = st.text("ab ", max_size=8)


@pytest.mark.parametrize(("candidate", "answers", "exact", "f1"), CASES)
def test_an_item(candidate, answers, exact, f1):
    assert exact_match([candidate], [answers]).corpus == exact
    assert token_f1([candidate], [answers]).corpus == pytest.approx(f1)


def test_the_corpus_has_the_mean_of_its_items():
    found = token_f1([case[0] for case in CASES], [case[1] for case in CASES])
    assert found.per_item.tolist() == pytest.approx([case[3] for case in CASES])
    assert found.corpus == pytest.approx(sum(case[3] for case in CASES) / len(CASES))


@given(WORDS, st.lists(WORDS, min_size=1, max_size=4))
def test_more_right_answers_never_lower_a_score(candidate, answers):
    for score in (exact_match, token_f1):
        assert score([candidate], [answers]).corpus >= score([candidate], [answers[:1]]).corpus


def test_items_without_an_answer_are_refused():
    with pytest.raises(UsageError, match="references"):
        exact_match(["a"], [[]])

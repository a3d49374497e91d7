"""Which passages answer which questions: sampled, known, or of equal text."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.objectives._relevance import known_pairs, pair_keys, relations

JOINED = {
    "query_index": torch.tensor([4, 9]),
    "passage_index": torch.tensor([10, 11, 12, 10, 13]),
    "owner": torch.tensor([4, 4, 9, 9, 7]),
    "positive": torch.tensor([True, False, True, False, True]),
}


def examples(*pairs):
    return [SimpleNamespace(query_index=number, relevant_indices=known) for number, known in pairs]


def test_a_question_owns_what_was_sampled_for_it():
    related = relations(JOINED, torch.zeros(0, dtype=torch.int64))
    assert related.own.tolist() == [[True, True, False, False, False], [False, False, True, True, False]]
    assert related.positive.tolist() == [[True, False, False, False, False], [False, False, True, False, False]]
    assert related.answered.tolist() == [True, True]


def test_equal_text_and_what_is_known_answers_too():
    """Passage 10 answers question 4, and stands in the batch once more as a negative of 9."""
    related = relations(JOINED, known_pairs(examples((9, (12, 13)), (4, (10,)), (5, (11,))), "contrastive"))
    assert related.relevant.tolist() == [[True, False, False, True, False], [False, False, True, False, True]]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20), st.integers(1, 5), st.integers(1, 8))
def test_membership_is_that_of_a_set(pairs, questions, passages):
    known = known_pairs(examples(*((query, (passage,)) for query, passage in pairs)), "contrastive")
    joined = {
        "query_index": torch.arange(questions),
        "passage_index": torch.arange(passages),
        "owner": torch.zeros(passages, dtype=torch.int64),
        "positive": torch.zeros(passages, dtype=torch.bool),
    }
    wanted = [[(q, p) in set(pairs) for p in range(passages)] for q in range(questions)]
    assert relations(joined, known).relevant.tolist() == wanted


def test_large_numbers_do_not_meet():
    questions, passages = torch.tensor([0, 1, 2**31 - 1]), torch.tensor([2**32 - 1, 0, 2**32 - 1])
    assert len(pair_keys(questions, passages).unique()) == 3 and (pair_keys(questions, passages) >= 0).all()


def test_nothing_known_is_fine_and_other_examples_are_refused():
    assert known_pairs([], "kl_distillation").tolist() == []
    assert known_pairs(examples((3, ())), "kl_distillation").tolist() == []
    with pytest.raises(UsageError, match="kl_distillation: expected training examples that are questions"):
        known_pairs([SimpleNamespace(text="a caption")], "kl_distillation")

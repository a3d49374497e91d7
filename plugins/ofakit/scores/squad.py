"""Exact match and F1 of answers, as SQuAD and ViQuAE report them.

    exact_match(["the Beatles"], [["Beatles", "The Fab Four"]]).corpus      # 1.0
    token_f1(["John Lennon"], [["Lennon"]]).corpus                          # 0.667

Answers are compared in lower case, without ASCII punctuation and without a, an and the. Of several right answers the
one that gives the most counts. F1 is the harmonic mean of the share of the answer's words that the right answer has,
and of the right answer's words that the answer has, words counted as often as they stand in both.

Sources: Rajpurkar et al., SQuAD, EMNLP 2016, https://arxiv.org/abs/1606.05250, and its evaluation of version 1.1;
Lerner et al., ViQuAE, SIGIR 2022.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from ofakit.data.answers import normalized_answer
from ofakit.scores.score import Score, check_pairs

__all__ = ["best_of_answers", "exact_match", "token_f1"]


def exact_match(candidates: Sequence[str], answers: Sequence[Sequence[str]]) -> Score:
    """The share of candidates that are one of the right answers.

    Args:
        candidates: One an item.
        answers: The right answers of each item, at least one.

    Returns:
        Each item 0 or 1.

    Raises:
        UsageError: The lists differ in length or are empty, or an item has no answer.

    >>> exact_match(["A dog.", "cat"], [["dog"], ["dog", "hound"]]).per_item.tolist()
    [1.0, 0.0]
    """
    return best_of_answers(candidates, answers, _equal)


def token_f1(candidates: Sequence[str], answers: Sequence[Sequence[str]]) -> Score:
    """How far the words of candidates are those of a right answer.

    Args:
        candidates: One an item.
        answers: The right answers of each item, at least one.

    Returns:
        Each item from 0 to 1.

    Raises:
        UsageError: The lists differ in length or are empty, or an item has no answer.

    >>> round(token_f1(["John Lennon"], [["Ringo", "lennon"]]).corpus, 3)
    0.667
    """
    return best_of_answers(candidates, answers, _f1)


def best_of_answers(
    candidates: Sequence[str], answers: Sequence[Sequence[str]], score: Callable[[str, str], float]
) -> Score:
    """The best that a score gives each candidate over the right answers of its item.

    Args:
        candidates: One an item.
        answers: The right answers of each item, at least one.
        score: Of a candidate and a right answer.

    Returns:
        The mean, and the score of each item, in double precision.

    Raises:
        UsageError: The lists differ in length or are empty, or an item has no answer.
    """
    check_pairs(candidates, answers)
    pairs = zip(candidates, answers, strict=True)
    items = np.array([max(score(own, right) for right in several) for own, several in pairs], np.float64)
    return Score(float(items.mean()), items)


def _equal(candidate: str, answer: str) -> float:
    return float(normalized_answer(candidate) == normalized_answer(answer))


def _f1(candidate: str, answer: str) -> float:
    own, right = normalized_answer(candidate).split(), normalized_answer(answer).split()
    same = sum((Counter(own) & Counter(right)).values())
    return 2 * same / (len(own) + len(right)) if same else 0.0

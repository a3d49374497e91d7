"""Soft accuracy of answers about images, as the VQA challenge counts it.

    vqa_accuracy(["two"], [["2"] * 2 + ["3"] * 8]).corpus       # 0.6

An answer that three of the other annotators gave is right: of ten annotators each is left out once, and accuracy is
the mean of min(1, matches among the other nine / 3). An answer that one, two, three or more of ten gave has 0.3, 0.6,
0.9 or 1. Where annotators differ, answers are compared after a normalisation: punctuation, number words up to ten, the
articles, and contractions without their apostrophe; where all wrote the same they are compared as they are.

Sources: Antol et al., VQA, ICCV 2015, https://arxiv.org/abs/1505.00468; its evaluation,
https://github.com/GT-Vision-Lab/VQA, commit a013f00. Its corners are kept: a full stop goes unless a digit follows, at
most 32 of them; a mark of punctuation goes where it stands beside a space anywhere in the text, or where digits have a
comma between, and else becomes a space.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ofakit.errors import UsageError
from ofakit.scores.score import Score, check_pairs

__all__ = ["answer_scores", "normalized_vqa_answer", "vqa_accuracy"]

ENOUGH = 3
"""Of the other annotators, who make an answer right."""
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
FULL_STOP, MOST_FULL_STOPS = re.compile(r"\.(?!\d)"), 32
COMMA_IN_NUMBER = re.compile(r"\d,\d")
NUMBERS = {
    word: str(value)
    for value, words in enumerate(
        ("none zero", *["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
    )
    for word in words.split()
}
ARTICLES = {"a", "an", "the"}
CONTRACTED = [
    "ain't",
    "aren't",
    "can't",
    "could've",
    "couldn't",
    "couldn't've",
    "didn't",
    "doesn't",
    "don't",
    "hadn't",
    "hadn't've",
    "hasn't",
    "haven't",
    "he'd",
    "he'd've",
    "he's",
    "how'd",
    "how'll",
    "how's",
    "isn't",
    "it'd",
    "it'd've",
    "it'll",
    "ma'am",
    "might've",
    "mightn't",
    "mightn't've",
    "must've",
    "mustn't",
    "needn't",
    "not've",
    "o'clock",
    "oughtn't",
    "'ow's'at",
    "shan't",
    "she'd've",
    "should've",
    "shouldn't",
    "shouldn't've",
    "somebody'd've",
    "somebody'll",
    "somebody's",
    "someone'd",
    "someone'd've",
    "someone'll",
    "someone's",
    "something'd",
    "something'd've",
    "something'll",
    "that's",
    "there'd",
    "there'd've",
    "there're",
    "there's",
    "they'd",
    "they'd've",
    "they'll",
    "they're",
    "they've",
    "'twas",
    "wasn't",
    "we'd've",
    "we've",
    "weren't",
    "what'll",
    "what're",
    "what's",
    "what've",
    "when's",
    "where'd",
    "where's",
    "where've",
    "who'd",
    "who'd've",
    "who'll",
    "who's",
    "who've",
    "why'll",
    "why're",
    "why's",
    "won't",
    "would've",
    "wouldn't",
    "wouldn't've",
    "y'all",
    "y'all'd've",
    "y'all'll",
    "you'd",
    "you'd've",
    "you'll",
    "you're",
    "you've",
]
"""What a word becomes that lacks one of its apostrophes."""


def _without_one_apostrophe(word: str) -> list[str]:
    places = [place for place, letter in enumerate(word) if letter == "'"]
    return [word[:place] + word[place + 1 :] for place in places]


CONTRACTIONS = {short: word for word in CONTRACTED for short in _without_one_apostrophe(word)}
CONTRACTIONS["somebody'd"] = "somebodyd"


def vqa_accuracy(candidates: Sequence[str], answers: Sequence[Sequence[str]]) -> Score:
    """The mean soft accuracy.

    Args:
        candidates: One an item.
        answers: What each annotator answered, with repetitions; ten in VQA.

    Returns:
        The mean, and the accuracy of each item, from 0 to 1.

    Raises:
        UsageError: The lists differ in length or are empty, or an item has fewer than two annotators.

    >>> vqa_accuracy(["yes", "Yes!"], [["yes"] * 10, ["yes", "no", "no", "no"]]).per_item.round(3).tolist()
    [1.0, 0.25]
    """
    check_pairs(candidates, answers)
    lonely = next((place for place, given in enumerate(answers) if len(given) < 2), None)
    if lonely is not None:
        raise UsageError(
            f"expected the answers of several annotators per item, found {len(answers[lonely])} for item {lonely}; the "
            "accuracy leaves each of them out once"
        )
    items = np.array([_accuracy(own, given) for own, given in zip(candidates, answers, strict=True)], np.float64)
    return Score(float(items.mean()), items)


def answer_scores(answers: Sequence[str]) -> dict[str, float]:
    """The soft accuracy of every answer that an annotator gave, which weighs it in training.

    Args:
        answers: Of each annotator, with repetitions.

    Returns:
        The scores by normalised answer, in the order of the annotators; empty answers are left out.

    >>> answer_scores(["2", "two", "a pair", "2."] + ["three"] * 6)
    {'2': 0.9, 'pair': 0.3, '3': 1.0}
    """
    counts = Counter(map(normalized_vqa_answer, answers))
    return {answer: _of_count(count, len(answers)) for answer, count in counts.items() if answer}


def normalized_vqa_answer(text: str) -> str:
    """An answer as they are compared.

    Args:
        text: The answer.

    >>> normalized_vqa_answer("The two, dogs"), normalized_vqa_answer("dont know."), normalized_vqa_answer("1,000.5")
    ('2 dogs', "don't know", '1000.5')
    """
    text = _on_one_line(text)
    in_number = COMMA_IN_NUMBER.search(text) is not None
    found = text
    for mark in PUNCTUATION:
        goes = in_number or f"{mark} " in text or f" {mark}" in text
        found = found.replace(mark, "" if goes else " ")
    words = FULL_STOP.sub("", found, count=MOST_FULL_STOPS).lower().split()
    words = [word for word in (NUMBERS.get(word, word) for word in words) if word not in ARTICLES]
    return " ".join(CONTRACTIONS.get(word, word) for word in words)


def _accuracy(candidate: str, answers: Sequence[str]) -> float:
    own, given = _on_one_line(candidate), [_on_one_line(answer) for answer in answers]
    if len(set(given)) > 1:
        own, given = normalized_vqa_answer(own), [normalized_vqa_answer(answer) for answer in given]
    return _of_count(given.count(own), len(given))


def _of_count(count: int, annotators: int) -> float:
    """The mean over annotators, each left out once, of an answer that some of them gave."""
    with_it, without = min(1.0, max(0, count - 1) / ENOUGH), min(1.0, count / ENOUGH)
    return round((count * with_it + (annotators - count) * without) / annotators, 12)


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()

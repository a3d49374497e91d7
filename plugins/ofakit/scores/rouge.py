"""ROUGE-L: the longest common subsequence of candidate and reference, with the conventions of the COCO evaluation.

The F-measure with beta 1.2 of the best precision and the best recall over the references, which need not come from the
same one (Lin 2004, https://aclanthology.org/W04-1013; pycocoevalcap 1.2). As in pycocoevalcap, texts are split at every
single space, so an empty text counts as one empty word.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain

import numpy as np
from numba import njit

from ofakit.scores.ngrams import encode_corpus, new_vocabulary
from ofakit.scores.score import Score, check_pairs

__all__ = ["rouge_l"]

_BETA = 1.2


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
    """ROUGE-L, from 0 to 1; the corpus score is the mean over items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.

    >>> round(rouge_l(["a dog runs on grass"], [["a dog runs on the grass", "the dog is running"]]).corpus, 4)
    0.8944
    """
    check_pairs(candidates, references)
    corpus = encode_corpus(candidates, references)
    words, bounds = (corpus.words, corpus.bounds) if corpus.regular else _cut_at_spaces(corpus.texts)
    per_item = _f_measures(words, bounds, corpus.last_reference, _BETA)
    return Score(float(per_item.mean()), per_item)


def _cut_at_spaces(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """`words` and `bounds` as in `ngrams.Corpus`, with an empty word between two adjacent spaces."""
    vocabulary = new_vocabulary()
    cut = [text.split(" ") for text in texts]
    ends = np.fromiter(accumulate(map(len, cut)), np.int64, len(cut))
    words = np.fromiter(map(vocabulary.__getitem__, chain.from_iterable(cut)), np.int32, ends[-1])
    return words, np.column_stack((np.concatenate(([0], ends[:-1])), ends))


@njit(cache=True)
def _common_subsequence(left, right, row):
    """Length of the longest common subsequence, by dynamic programming over one row of len(right) + 1 cells."""
    row[: len(right) + 1] = 0
    for i in range(len(left)):
        diagonal = 0
        for j in range(len(right)):
            above = row[j + 1]
            row[j + 1] = diagonal + 1 if left[i] == right[j] else max(above, row[j])
            diagonal = above
    return row[len(right)]


@njit(cache=True)
def _f_measures(words, bounds, last_reference, beta):
    items = len(last_reference)
    scores = np.zeros(items)
    row = np.zeros(np.max(bounds[:, 1] - bounds[:, 0]) + 1, np.int64)
    first = items
    for item in range(items):
        candidate = words[bounds[item, 0] : bounds[item, 1]]
        precision = recall = 0.0
        for reference in range(first, last_reference[item]):
            other = words[bounds[reference, 0] : bounds[reference, 1]]
            common = _common_subsequence(candidate, other, row)
            precision = max(precision, common / len(candidate))
            recall = max(recall, common / len(other))
        if precision > 0 and recall > 0:
            scores[item] = (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
        first = last_reference[item]
    return scores

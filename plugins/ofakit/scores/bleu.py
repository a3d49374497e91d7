"""BLEU of orders 1 to 4, with the conventions of the COCO evaluation.

Clipped n-gram precision times a brevity penalty against the reference of closest length, the shorter one on a tie
(Papineni et al. 2002, https://aclanthology.org/P02-1040). As in pycocoevalcap 1.2, 1e-15 is added to numerators and
1e-9 to denominators, so that a candidate without a match scores almost zero instead of failing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from ofakit.scores.ngrams import ORDER, encode_corpus
from ofakit.scores.score import Score, check_pairs

__all__ = ["bleu", "bleu_from_statistics", "bleu_statistics"]

_SMALL = 1e-9
_TINY = 1e-15


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[Score, Score, Score, Score]:
    """BLEU-1 to BLEU-4, from 0 to 1.

    The corpus score is computed from the summed counts; it is not the mean over items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.

    Returns:
        Four `Score`s, for the orders 1 to 4.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.

    >>> scores = bleu(["a dog runs on grass"], [["a dog runs on the grass", "the dog is running"]])
    >>> [round(score.corpus, 4) for score in scores]
    [1.0, 0.866, 0.7937, 0.7071]
    """
    statistics = bleu_statistics(candidates, references)
    corpus = bleu_from_statistics(statistics.sum(axis=0, keepdims=True))[0]
    per_item = bleu_from_statistics(statistics)
    one, two, three, four = (Score(float(corpus[n]), np.ascontiguousarray(per_item[:, n])) for n in range(ORDER))
    return one, two, three, four


def bleu_statistics(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> np.ndarray:
    """The counts BLEU is made of; those of a corpus are the sum over its items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.

    Returns:
        Float64, shape (items, 10): matched n-grams (4), the candidate's n-grams (4), its length, and the closest
        reference length, in words.

    Raises:
        UsageError: As `bleu`.
    """
    check_pairs(candidates, references)
    corpus = encode_corpus(candidates, references)
    return _count_matches(corpus.trie.nodes, corpus.bounds, corpus.last_reference, corpus.trie.node_count)


def bleu_from_statistics(statistics: np.ndarray) -> np.ndarray:
    """BLEU-1 to BLEU-4 of each row of counts, shape (rows, 10) → (rows, 4)."""
    ratios = (statistics[:, :ORDER] + _TINY) / (statistics[:, ORDER : 2 * ORDER] + _SMALL)
    geometric_means = np.cumprod(ratios, axis=1) ** (1.0 / np.arange(1, ORDER + 1))
    brevity = (statistics[:, 8] + _TINY) / (statistics[:, 9] + _SMALL)
    penalty = np.exp(np.minimum(0.0, 1.0 - 1.0 / brevity))
    return geometric_means * penalty[:, None]


@njit(cache=True)
def _closest_length(length, bounds, first, last):
    best = bounds[first, 1] - bounds[first, 0]
    for reference in range(first + 1, last):
        found = bounds[reference, 1] - bounds[reference, 0]
        if (abs(found - length), found) < (abs(best - length), best):
            best = found
    return best


@njit(cache=True)
def _note_maxima(nodes, start, end, counts, maxima):
    """Raise `maxima` to the n-gram counts of one reference."""
    for t in range(start, end):
        for n in range(min(ORDER, end - t)):
            node = nodes[t, n]
            counts[node] += 1
            maxima[node] = max(maxima[node], counts[node])
    _clear(nodes, start, end, counts)


@njit(cache=True)
def _clear(nodes, start, end, counts):
    for t in range(start, end):
        for n in range(min(ORDER, end - t)):
            counts[nodes[t, n]] = 0


@njit(cache=True)
def _count_matches(nodes, bounds, last_reference, node_count):
    items = len(last_reference)
    statistics = np.zeros((items, 10))
    counts = np.zeros(node_count, np.int32)
    maxima = np.zeros(node_count, np.int32)
    first = items
    for item in range(items):
        last = last_reference[item]
        for reference in range(first, last):
            _note_maxima(nodes, bounds[reference, 0], bounds[reference, 1], counts, maxima)
        start, end = bounds[item]
        for t in range(start, end):
            for n in range(min(ORDER, end - t)):
                node = nodes[t, n]
                statistics[item, ORDER + n] += 1
                if counts[node] < maxima[node]:
                    statistics[item, n] += 1
                counts[node] += 1
        _clear(nodes, start, end, counts)
        for reference in range(first, last):
            _clear(nodes, bounds[reference, 0], bounds[reference, 1], maxima)
        statistics[item, 8] = end - start
        statistics[item, 9] = _closest_length(end - start, bounds, first, last)
        first = last
    return statistics

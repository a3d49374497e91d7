"""CIDEr and CIDEr-D: agreement with the references in n-grams weighted by how rare they are.

    CIDEr-D_n(c, S) = 10 / |S|  sum_s  exp(-(l_c - l_s)^2 / (2 sigma^2))  min(g_c, g_s) . g_s / (|g_c| |g_s|)

c is the candidate, S its references, g the vector of n-gram counts times log(documents / document frequency), l the
length; the score is the mean over n = 1 ... 4 (Vedantam et al. 2015, https://arxiv.org/abs/1411.5726). What
pycocoevalcap 1.2 calls CIDEr clips and penalises the length like this too, so `cider` equals it, and equals `cider_d`
with sigma 6. An n-gram in no document counts as one in one document.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from ofakit.errors import UsageError
from ofakit.scores.document_frequencies import DocumentFrequency, count_documents
from ofakit.scores.ngrams import ORDER, Corpus, encode_corpus, trie_child
from ofakit.scores.score import Score, check_pairs

__all__ = ["cider", "cider_d"]


def cider(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    document_frequency: DocumentFrequency | None = None,
) -> Score:
    """CIDEr as pycocoevalcap computes it, from 0 to 10; the corpus score is the mean over items.

    Args:
        candidates: Tokenized strings, one an item.
        references: Tokenized strings, at least one an item.
        document_frequency: Of a corpus. Without it the references given here are the corpus, and the score of a
            single item is 0, since none of its n-grams is rare.

    Raises:
        UsageError: The lists do not fit together, or something in them is not a string.

    >>> references = [["a dog runs", "the dog runs fast"], ["a red car"]]
    >>> cider(["a dog runs", "a red car"], references).per_item.round(4).tolist()
    [5.125, 7.5]
    """
    return cider_d(candidates, references, document_frequency)


def cider_d(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    document_frequency: DocumentFrequency | None = None,
    sigma: float = 6.0,
) -> Score:
    """CIDEr-D, from 0 to 10; the corpus score is the mean over items.

    Args:
        candidates: Tokenized strings, one an item.
        references: Tokenized strings, at least one an item.
        document_frequency: Of a corpus, as a reward needs it; otherwise that of the references given here.
        sigma: Width of the length penalty, in words; above 0.

    Raises:
        UsageError: The lists do not fit together, something in them is not a string, or sigma is not above 0.

    >>> from ofakit.scores import document_frequency
    >>> frequency = document_frequency([["a dog runs"], ["a red car"], ["a cat sleeps"]])
    >>> round(cider_d(["a dog"], [["a dog runs"]], frequency).corpus, 4)
    3.4868
    """
    check_pairs(candidates, references)
    if not sigma > 0:
        raise UsageError(f"sigma: expected a number above 0, found {sigma!r}")
    if document_frequency is None:
        corpus = encode_corpus(candidates, references)
        counts = count_documents(corpus.nodes, corpus.bounds, corpus.first_reference, corpus.node_count)
        documents = len(candidates)
    else:
        corpus = encode_corpus(candidates, references, document_frequency.vocabulary)
        counts = _known_counts(corpus, document_frequency)
        documents = document_frequency.documents
    weights = (np.log(float(documents)) - np.log(np.maximum(counts, 1.0))) ** 2
    per_item = _similarities(corpus.nodes, corpus.bounds, corpus.first_reference, weights, float(sigma))
    return Score(float(per_item.mean()), per_item)


def _known_counts(corpus: Corpus, frequency: DocumentFrequency) -> np.ndarray:
    """For each node of `corpus` the document frequency of its n-gram."""
    return _look_up(corpus.words, corpus.bounds, corpus.nodes, corpus.node_count, *frequency.table, frequency.counts)


@njit(cache=True)
def _look_up(words, bounds, nodes, node_count, keys, children, known):
    counts = np.zeros(node_count, np.int32)
    twins = np.full(node_count, -2, np.int32)
    twins[0] = 0
    for text in range(len(bounds)):
        for start in range(bounds[text, 0], bounds[text, 1]):
            twin = np.int32(0)
            for n in range(min(ORDER, bounds[text, 1] - start)):
                node = nodes[n, start]
                if twins[node] == -2:
                    twins[node] = trie_child(keys, children, twin, words[start + n]) if twin >= 0 else np.int32(-1)
                    if twins[node] >= 0:
                        counts[node] = known[twins[node]]
                twin = twins[node]
    return counts


@njit(cache=True)
def _norms(nodes, start, end, weights, counts, norms):
    """Write the vector length of each order of one text into `norms` and its n-gram counts into `counts`.

    One more of an n-gram that was there k times adds (2k + 1) times its squared weight.
    """
    for n in range(ORDER):
        total = 0.0
        for t in range(start, end - n):
            node = nodes[n, t]
            total += (2 * counts[node] + 1) * weights[node]
            counts[node] += 1
        norms[n] = np.sqrt(total)


@njit(cache=True)
def _clear(nodes, start, end, counts):
    for n in range(ORDER):
        for t in range(start, end - n):
            counts[nodes[n, t]] = 0


@njit(cache=True)
def _cosines(nodes, start, end, weights, ours, counts, our_norms):
    """Sum over the orders of the clipped cosine of the text that `ours` counts and the reference from start to end."""
    total = 0.0
    for n in range(ORDER):
        dot = squares = 0.0
        for t in range(start, end - n):
            node = nodes[n, t]
            k, limit = counts[node], ours[node]
            squares += (2 * k + 1) * weights[node]
            dot += (min(limit, k + 1) * (k + 1) - min(limit, k) * k) * weights[node]
            counts[node] += 1
        if squares > 0 and our_norms[n] > 0:
            total += dot / (np.sqrt(squares) * our_norms[n])
    return total


@njit(cache=True)
def _similarities(nodes, bounds, first_reference, weights, sigma):
    items = len(first_reference) - 1
    scores = np.zeros(items)
    ours = np.zeros(len(weights), np.int64)
    counts = np.zeros(len(weights), np.int64)
    norms = np.zeros(ORDER)
    for item in range(items):
        start, end = bounds[item]
        _norms(nodes, start, end, weights, ours, norms)
        first, last = first_reference[item], first_reference[item + 1]
        for reference in range(first, last):
            begin, stop = bounds[reference]
            cosines = _cosines(nodes, begin, stop, weights, ours, counts, norms)
            difference = (end - start) - (stop - begin)
            scores[item] += cosines * np.exp(-(difference**2) / (2 * sigma**2))
            _clear(nodes, begin, stop, counts)
        _clear(nodes, start, end, ours)
        scores[item] *= 10.0 / (ORDER * (last - first))
    return scores

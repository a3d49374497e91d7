"""CIDEr and CIDEr-D: agreement with the references in n-grams weighted by how rare they are.

    CIDEr-D_n(c, S) = 10 / |S|  sum_s  exp(-(l_c - l_s)^2 / (2 sigma^2))  min(g_c, g_s) . g_s / (|g_c| |g_s|)

c is the candidate, S its references, g the vector of n-gram counts times log(documents / document frequency), l the
length; the score is the mean over n = 1 ... 4 (Vedantam et al. 2015, https://arxiv.org/abs/1411.5726). What
pycocoevalcap 1.2 calls CIDEr clips and penalises the length like this too, so `cider` equals it, and equals `cider_d`
with sigma 6. An n-gram that no document has counts as if one had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain

import numpy as np
from numba import njit

from ofakit.errors import UsageError
from ofakit.scores.document_frequencies import DocumentFrequency, count_documents, squared_weights
from ofakit.scores.ngrams import ORDER, Corpus, encode_corpus
from ofakit.scores.score import Score, check_pairs
from ofakit.scores.text_cache import shared_length, vector_norms

__all__ = ["cider", "cider_d", "zero_by_nature"]


def cider(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    document_frequency: DocumentFrequency | None = None,
) -> Score:
    """CIDEr as pycocoevalcap computes it, from 0 to 10; the corpus score is the mean over items.

    Args:
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.
        document_frequency: Document frequencies of a corpus. Without them the references given here are the corpus;
            a single item then scores 0, since none of its n-grams is rare.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.

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
        candidates: Tokenized strings, one per item.
        references: Tokenized strings, at least one per item.
        document_frequency: Document frequencies of a corpus, which a reward needs; without them those of the
            references given here.
        sigma: Width of the length penalty, in words; above 0.

    Raises:
        UsageError: The lists do not match, something in them is not a string, or sigma is not above 0.

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
        numbers, last_reference = np.arange(len(corpus.bounds)), corpus.last_reference
        arrays = _own_vectors(corpus)
    else:
        known = document_frequency.text_cache
        numbers = known.numbers([*candidates, *chain.from_iterable(references)])
        last_reference = np.fromiter(accumulate(map(len, references)), np.int64, len(references)) + len(candidates)
        arrays = known.arrays
    per_item = _similarities(numbers, last_reference, *arrays, float(sigma))
    return Score(float(per_item.mean()), per_item)


def zero_by_nature(references: Sequence[Sequence[str]]) -> str | None:
    """Why CIDEr is always 0 with these references as its corpus, whatever the captions say.

    Args:
        references: Tokenized strings, at least one per item.

    Returns:
        The reason; None where captions can score above 0.

    >>> zero_by_nature([["a dog runs", "the dog"]])
    'n-grams are weighted by how few items contain them, and there is only one item'
    >>> zero_by_nature([["a dog runs"], ["a cat"]]) is None
    True
    """
    if cider([texts[0] for texts in references], references).per_item.any():
        return None
    same = "there is only one item" if len(references) == 1 else f"all {len(references)} items contain the same ones"
    return f"n-grams are weighted by how few items contain them, and {same}"


def _own_vectors(corpus: Corpus) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Words, weights, bounds and norms, as in `TextCache`, of a corpus whose references are its documents."""
    nodes, node_count, _ = corpus.trie
    counts = count_documents(nodes, corpus.bounds, len(corpus.sizes), corpus.last_reference, node_count)
    weights = squared_weights(len(corpus.sizes))[counts][nodes]
    norms = np.empty((len(corpus.bounds), ORDER))
    vector_norms(corpus.words, weights, corpus.bounds, norms)
    return corpus.words, weights, corpus.bounds, norms


@njit(cache=True)
def _similarities(numbers, last_reference, words, weights, bounds, norms, sigma):
    scores = np.zeros(len(last_reference))
    products, ours, theirs = np.zeros(ORDER), np.zeros(ORDER, np.int64), np.zeros(ORDER, np.int64)
    first = len(last_reference)
    for item in range(len(last_reference)):
        candidate = numbers[item]
        start, end = bounds[candidate]
        for place in range(first, last_reference[item]):
            reference = numbers[place]
            begin, stop = bounds[reference]
            _add_products(words, weights, start, end, begin, stop, products, ours, theirs)
            penalty = np.exp(-(((end - start) - (stop - begin)) ** 2) / (2 * sigma**2))
            for n in range(ORDER):
                if products[n] > 0:
                    scores[item] += penalty * products[n] / (norms[candidate, n] * norms[reference, n])
                products[n] = 0.0
        scores[item] *= 10.0 / (ORDER * (last_reference[item] - first))
        first = last_reference[item]
    return scores


@njit(cache=True)
def _add_products(words, weights, start, end, begin, stop, products, ours, theirs):
    """Add min(g_c, g_s) . g_s of each order, for the candidate from start to end and the reference from begin to stop.

    The next occurrence in the reference of an n-gram that it had k times so far, and that the candidate has c times,
    adds min(c, k + 1) (k + 1) - min(c, k) k times its squared weight.
    """
    for place in range(begin, stop):
        _count_shared(words, start, end, place, stop, end, ours)
        if ours[0] == 0:
            continue
        _count_shared(words, begin, place, place, stop, stop, theirs)
        for n in range(ORDER):
            if ours[n] == 0:
                break
            k = theirs[n]
            times = min(ours[n], k + 1) * (k + 1) - min(ours[n], k) * k
            products[n] += times * weights[place, n]


@njit(cache=True)
def _count_shared(words, first, last, place, stop, end, counts):
    """How many of the words from first to last start the same n-gram as `place`, for each order."""
    for n in range(ORDER):
        counts[n] = 0
    for other in range(first, last):
        if words[other] == words[place]:
            for n in range(shared_length(words, other, end, place, stop)):
                counts[n] += 1

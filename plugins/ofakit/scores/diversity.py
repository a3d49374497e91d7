"""How varied captions are: distinct captions, distinct n-grams, vocabulary, CIDEr among themselves, and novelty.

`variety` is what every evaluation reports of one caption an image; `self_cider` is for several captions of one image.

Sources: distinct-n, Li et al. 2016, https://arxiv.org/abs/1510.03055; self-CIDEr, Wang and Chan, CVPR 2019,
https://arxiv.org/abs/1903.12020.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numba import njit

from ofakit.errors import UsageError
from ofakit.scores.document_frequencies import DocumentFrequency, document_frequency
from ofakit.scores.ngrams import ORDER
from ofakit.scores.score import Score, check_pairs
from ofakit.scores.text_cache import shared_length

__all__ = ["cross_cider", "distinct", "novel_share", "one_for_many", "self_cider", "variety", "vocabulary_size"]

_MANY, _MUCH = 10, 0.1
_ROUNDING = 1e-13


def variety(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """How varied the captions of different images are.

    Args:
        candidates: One tokenized caption an image.
        references: Tokenized references of each; `cross_cider` takes document frequencies from them.

    Returns:
        `distinct`, the number of different captions; `distinct1` and `distinct2`, the shares of distinct n-grams;
        `vocabulary`, the number of different words; `cross_cider`; `most_frequent`, the caption that occurs most often,
        and `most_frequent_count`, how often.

    Raises:
        UsageError: The lists do not match, or something in them is not a string.

    >>> found = variety(["a dog", "a dog", "a cat"], [["a dog"], ["the dog"], ["a cat"]])
    >>> found["distinct"], found["vocabulary"], found["most_frequent"], found["most_frequent_count"]
    (2, 3, 'a dog', 2)
    """
    check_pairs(candidates, references)
    counts = Counter(" ".join(caption.split()) for caption in candidates)
    caption, count = counts.most_common(1)[0]
    return {
        "distinct": len(counts),
        **{f"distinct{n}": distinct(candidates, n) for n in (1, 2)},
        "vocabulary": vocabulary_size(candidates),
        "cross_cider": cross_cider(candidates, document_frequency(references)),
        "most_frequent": caption,
        "most_frequent_count": count,
    }


def one_for_many(caption: str, count: int, items: int) -> str | None:
    """A warning if one caption is used for at least ten items and a tenth of all; else None.

    Args:
        caption: The one that occurs most often.
        count: How often.
        items: How many captions there are.

    >>> one_for_many("a dog", 12, 100)
    "12 of 100 items have the same caption: 'a dog'"
    """
    if count < max(_MANY, _MUCH * items):
        return None
    return f"{count} of {items} items have the same caption: {caption!r}"


def cross_cider(candidates: Sequence[str], frequency: DocumentFrequency) -> float:
    """Mean CIDEr between the captions of two different images, from 0 to 10; the lower, the more varied.

    CIDEr here is 10 times the mean cosine over the orders 1 to 4. The mean over all pairs comes from the sum of the
    vectors, whose squared length has every pair twice and every caption with itself.

    Args:
        candidates: One tokenized caption an image.
        frequency: Document frequencies of the references: among equal captions themselves no word would be rare.

    Returns:
        0 where there is one caption.

    >>> frequency = document_frequency([["a red car"], ["a dog runs fast"], ["a cat"]])
    >>> round(cross_cider(["a dog runs fast"] * 3, frequency), 6), cross_cider(["a red car", "a dog"], frequency)
    (10.0, 0.0)
    """
    pairs = len(candidates) * (len(candidates) - 1)
    if not pairs:
        return 0.0
    sums: defaultdict[tuple[int, ...], float] = defaultdict(float)
    alone = 0.0
    texts = Counter(candidates)
    numbers = frequency.text_cache.numbers(list(texts))
    for number, times in zip(numbers.tolist(), texts.values(), strict=True):
        vector = _unit_vectors(number, *frequency.text_cache.arrays)
        for ngram, value in vector.items():
            sums[ngram] += times * value
        alone += times * sum(value * value for value in vector.values())
    return max(0.0, 10 / ORDER * (sum(value * value for value in sums.values()) - alone) / pairs)


def _unit_vectors(number: int, words: Any, weights: Any, bounds: Any, norms: Any) -> dict[tuple[int, ...], float]:
    """The n-grams of a text, those of each order as a vector of length 1, or of 0 where none is rare."""
    start, end = bounds[number].tolist()
    said, squares, lengths = words[start:end].tolist(), weights[start:end].tolist(), norms[number].tolist()
    vector: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for place in range(len(said)):
        for n in range(min(ORDER, len(said) - place)):
            if squares[place][n] > 0:
                vector[tuple(said[place : place + n + 1])] += math.sqrt(squares[place][n]) / lengths[n]
    return vector


def distinct(candidates: Sequence[str], n: int) -> float:
    """The share of distinct n-grams among all n-grams of the candidates, from 0 to 1; 0 if there are none.

    Args:
        candidates: Tokenized captions.
        n: Words in an n-gram, 1 or more.

    Raises:
        UsageError: n is below 1.

    >>> distinct(["a dog runs", "a dog sleeps"], 1), distinct(["a dog runs", "a dog sleeps"], 2)
    (0.6666666666666666, 0.75)
    """
    if n < 1:
        raise UsageError(f"distinct-n: expected n of at least 1, found {n}")
    words = (caption.split() for caption in candidates)
    ngrams = [tuple(w[i : i + n]) for w in words for i in range(len(w) - n + 1)]
    return len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def vocabulary_size(candidates: Iterable[str]) -> int:
    """The number of distinct words.

    >>> vocabulary_size(["a dog runs", "a dog sleeps"])
    4
    """
    return len({word for caption in candidates for word in caption.split()})


def novel_share(candidates: Sequence[str], training_captions: Iterable[str]) -> float:
    """The share of candidates that do not occur, word for word, among the training captions, from 0 to 1.

    Args:
        candidates: Tokenized captions.
        training_captions: Tokenized captions.

    Raises:
        UsageError: There are no candidates.

    >>> novel_share(["a dog runs", "a dog"], ["a  dog"])
    0.5
    """
    if not candidates:
        raise UsageError("nothing to score: there are no candidates")
    known = {tuple(caption.split()) for caption in training_captions}
    return sum(tuple(caption.split()) not in known for caption in candidates) / len(candidates)


def self_cider(caption_sets: Sequence[Sequence[str]], frequency: DocumentFrequency | None = None) -> Score:
    """Diversity of several captions of one image: 0 if all are the same, 1 if no two share an n-gram.

    With the eigenvalues l of the m x m matrix of CIDEr similarities (mean cosine over the orders 1 to 4) it is
    -log_m(max sqrt(l) / sum sqrt(l)).

    Args:
        caption_sets: Two or more tokenized captions of each image.
        frequency: Document frequencies of a corpus; without them those of the captions given here, each image being
            one document.

    Returns:
        The mean over images, and each image's.

    Raises:
        UsageError: An image has fewer than two captions, or something is not a string.

    >>> sets = [["a dog runs", "a dog runs"], ["a red car", "two birds sing"], ["a cat", "the cat"]]
    >>> self_cider(sets).per_item.round(4).tolist()
    [0.0, 1.0, 0.7579]
    """
    check_pairs([""] * len(caption_sets), caption_sets)
    for number, captions in enumerate(caption_sets):
        if len(captions) < 2:
            raise UsageError(f"self_cider: expected two captions or more of image {number}, found {len(captions)}")
    known = (frequency or document_frequency(caption_sets)).text_cache
    numbers = known.numbers(list(chain.from_iterable(caption_sets)))
    ends = list(accumulate(map(len, caption_sets)))
    kernels = (_similarities(numbers[a:b], *known.arrays) for a, b in zip([0, *ends], ends, strict=False))
    per_item = np.array([_spread(kernel) for kernel in kernels])
    return Score(float(per_item.mean()), per_item)


def _spread(kernel: np.ndarray) -> float:
    values = np.linalg.eigvalsh(kernel)
    roots = np.sqrt(values[values > _ROUNDING * values.max()])
    if not roots.size:
        return 0.0
    return float(np.clip(np.log(roots.sum() / roots.max()) / np.log(len(kernel)), 0.0, 1.0))


@njit(cache=True)
def _similarities(numbers, words, weights, bounds, norms):
    """Mean cosine of every pair of texts: two places with the same n-gram add its squared weight to the product."""
    kernel = np.zeros((len(numbers), len(numbers)))
    for i in range(len(numbers)):
        for j in range(i + 1):
            start, end = bounds[numbers[i]]
            begin, stop = bounds[numbers[j]]
            products = np.zeros(ORDER)
            for place in range(begin, stop):
                for other in range(start, end):
                    for n in range(shared_length(words, other, end, place, stop)):
                        products[n] += weights[place, n]
            for n in range(ORDER):
                if products[n] > 0:
                    kernel[i, j] += products[n] / (norms[numbers[i], n] * norms[numbers[j], n] * ORDER)
            kernel[j, i] = kernel[i, j]
    return kernel

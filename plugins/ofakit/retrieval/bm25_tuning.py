"""k1 and b of BM25 chosen on val, over the grid of ViQuAE: k1 from 0 to 3 and b from 0 to 1, in steps of 0.1. (The
variants bm25l and bm25+ have no k1 of 0.)

    settings, score = tune_bm25(ids, tokens, queries, texts, qrels, BM25Settings(), "mrr@100")

Coarse to fine: steps of 0.5 and 0.2 first, then from the best point on to the best of its neighbours, until none is
better. How often words occur is counted once; each pair of k1 and b then costs one pass over the entries of those words
that the queries have, and one search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ofakit.retrieval._postings import Postings, search_postings
from ofakit.retrieval.bm25_settings import BM25Settings
from ofakit.retrieval.bm25_words import known_words
from ofakit.retrieval.evaluation import evaluate
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.scores.ranking import parse_score

if TYPE_CHECKING:
    from bm25s.tokenization import Tokenized

__all__ = ["Counts", "count_words", "tune_bm25", "weights_of"]

_STEP = 0.1
_K1, _B = range(31), range(11)
_DEPTH = 1000
"""How many passages are looked at for a score that names no depth."""


class Counts(NamedTuple):
    """How often some words occur in each document.

    Attributes:
        frequencies: Float32, shape (entries,): how often the word of an entry occurs in its document.
        documents: Int32, shape (entries,): the number of the document of each entry.
        bounds: Int64, shape (words + 1,): entries `bounds[w]:bounds[w + 1]` are those of word w.
        lengths: Float64, shape (documents,): the words of each document.
    """

    frequencies: np.ndarray
    documents: np.ndarray
    bounds: np.ndarray
    lengths: np.ndarray


def tune_bm25(
    ids: Sequence[str],
    tokens: Tokenized,
    queries: Sequence[str],
    texts: Sequence[str | None],
    qrels: Qrels,
    settings: BM25Settings,
    metric: str,
) -> tuple[BM25Settings, float]:
    """Find the k1 and b with which queries are answered best.

    Args:
        ids: The id of each passage.
        tokens: What `tokenize` made of the passages.
        queries: The ids of the queries of val.
        texts: Their texts.
        qrels: The passages that are relevant to them.
        settings: What stays as it is; of equally good pairs the one nearest to these wins.
        metric: The score that counts, such as `mrr@100`.

    Returns:
        The settings with the best k1 and b, and their score.

    Raises:
        UsageError: As `evaluate`.
    """
    words = known_words(texts, tokens.vocab, settings)
    needed, numbers = np.unique(np.concatenate([np.zeros(0, np.int64), *words]), return_inverse=True)
    asked = np.split(numbers, np.cumsum(list(map(len, words)))[:-1])
    counts = count_words(tokens, needed)
    depth = parse_score(metric).depth or _DEPTH
    tried: dict[tuple[int, int], tuple[float, float]] = {}

    def value(point: tuple[int, int]) -> tuple[float, float]:
        if point not in tried:
            given = _at(settings, point)
            postings = Postings(weights_of(counts, given), counts.documents, counts.bounds, len(ids))
            rows, documents, scores = search_postings(postings, asked, depth)
            run = Run.from_rows(queries, rows, ids, documents, scores).cut(depth)
            distance = abs(given.k1 - settings.k1) / 3 + abs(given.b - settings.b)
            tried[point] = round(evaluate(run, qrels, [metric])[metric], 12), -distance
        return tried[point]

    lowest = 1 if settings.variant in ("bm25l", "bm25+") else 0
    best = max(product([max(k1, lowest) for k1 in _K1[::5]], _B[::2]), key=value)
    while (better := max(_neighbours(best, lowest), key=value)) != best:
        best = better
    return _at(settings, best), tried[best][0]


def _at(settings: BM25Settings, point: tuple[int, int]) -> BM25Settings:
    return replace(settings, k1=round(point[0] * _STEP, 1), b=round(point[1] * _STEP, 1))


def _neighbours(point: tuple[int, int], lowest: int) -> list[tuple[int, int]]:
    """A point of the grid and the eight around it, without a k1 below the lowest."""
    k1, b = point
    around = product((k1 - 1, k1, k1 + 1), (b - 1, b, b + 1))
    return [(x, y) for x, y in around if x in _K1[lowest:] and y in _B]


def count_words(tokens: Tokenized, words: np.ndarray) -> Counts:
    """How often words occur.

    Args:
        tokens: The documents.
        words: Int64, shape (words,): the numbers of the words that count, ascending.
    """
    lengths = np.fromiter(map(len, tokens.ids), np.int64, len(tokens.ids))
    flat = np.fromiter(chain.from_iterable(tokens.ids), np.int64, lengths.sum())
    place = np.full(max(tokens.vocab.values(), default=0) + 1, -1, dtype=np.int64)
    place[words] = np.arange(len(words))
    counted = np.flatnonzero(place[flat] >= 0)
    documents = np.repeat(np.arange(len(lengths)), lengths)[counted]
    keys = np.sort(place[flat[counted]] * len(lengths) + documents)
    starts = np.flatnonzero(np.append(True, np.diff(keys) > 0)[: len(keys)])
    frequencies = np.diff(np.append(starts, len(keys))).astype(np.float32)
    bounds = np.searchsorted(keys[starts], np.arange(len(words) + 1) * len(lengths))
    return Counts(
        frequencies, (keys[starts] % max(len(lengths), 1)).astype(np.int32), bounds, lengths.astype(np.float64)
    )


def weights_of(counts: Counts, settings: BM25Settings) -> np.ndarray:
    """What each entry adds to the score of its document, compared with a document without the word.

    Args:
        counts: How often words occur.
        settings: The variant, k1, b and delta.

    Returns:
        Float32, shape (entries,): the weights that bm25s gives them. The formulas are those of Kamphuis et al. 2020.
    """
    with_word = np.diff(counts.bounds)
    total, k1, b = len(counts.lengths), settings.k1, settings.b
    found = np.maximum(with_word, 1)
    odds = (total - found + 0.5) / (found + 0.5)
    rarity = {
        "lucene": np.log1p(odds),
        "robertson": np.log(np.maximum(odds, 1.0)),
        "atire": np.log(total / found),
        "bm25l": np.log((total + 1) / (found + 0.5)),
        "bm25+": np.log((total + 1) / found),
    }[settings.variant]
    length = 1 - b + b * counts.lengths[counts.documents] / max(counts.lengths.mean(), 1e-9)
    if settings.variant == "bm25l":
        often = counts.frequencies / length + settings.delta
        share = (k1 + 1) * (often / (k1 + often) - settings.delta / (k1 + settings.delta))
    else:
        share = counts.frequencies / (counts.frequencies + k1 * length)
        if settings.variant in ("atire", "bm25+"):
            share = share * (k1 + 1)
    return (np.repeat(rarity, with_word) * share).astype(np.float32)

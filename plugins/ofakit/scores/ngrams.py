"""Captions as arrays: word ids, and n-grams as the nodes of one trie.

`nodes[t, n]` is the n-gram of n + 1 words that starts at word t, or -1 if the text is too short for it. A node is
looked up by its parent and its last word in an open-addressing table whose keys hold both numbers in full, so two
n-grams never share a node and no score depends on a hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain, count
from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = [
    "ORDER",
    "Corpus",
    "Trie",
    "build_trie",
    "encode_corpus",
    "encode_texts",
    "new_table",
    "new_vocabulary",
    "slot_of",
    "trie_edge",
]

ORDER = 4
_END = "\u241e"
_MAX_WORDS_KEPT = 2_000_000
_last: list[Corpus] = []


class Trie(NamedTuple):
    """The n-grams of a corpus.

    Attributes:
        nodes: Int32, shape (words, 4).
        node_count: Number of nodes with the root, which is node 0.
        table: The edges, uint64, shape (slots, 2), slots being a power of two: the key, made of parent and word, and
            the child in the lower half of the second number. Key 0 marks a free slot.
    """

    nodes: np.ndarray
    node_count: int
    table: np.ndarray


class Corpus:
    """Candidates and references as arrays.

    Args:
        texts: The candidates, then all references.
        sizes: How many references each candidate has.

    Attributes:
        words: Int32, shape (words,): word ids from 1; 0 stands between two texts.
        bounds: Int64, shape (texts, 2): where each text starts and ends in `words`.
        last_reference: Int64, shape (items,): item i has the texts from `last_reference[i - 1]` (`items` for the
            first) to `last_reference[i]` as references.
        regular: Whether every text has words, with exactly one plain space between neighbours.
    """

    def __init__(self, texts: list[str], sizes: list[int]) -> None:
        self.texts, self.sizes = texts, sizes
        self.words, self.bounds = encode_texts(texts, new_vocabulary())
        joined = " ".join(texts)
        self.regular = joined.count(" ") == len(self.words) - len(texts) and joined.isprintable()
        self.last_reference = np.fromiter(accumulate(sizes), np.int64, len(sizes)) + len(sizes)

    @cached_property
    def trie(self) -> Trie:
        """The n-grams of all texts."""
        return build_trie(self.words, self.bounds)


class _Vocabulary(dict[str, int]):
    """Word → id on top of a frozen vocabulary: words it lacks get the next ids, for the life of this object."""

    def __init__(self, frozen: Mapping[str, int]) -> None:
        super().__init__()
        self.frozen = frozen
        self._next_id = count(len(frozen) + 1).__next__

    def __missing__(self, word: str) -> int:
        known = self.frozen.get(word)
        self[word] = known = self._next_id() if known is None else known
        return known


def new_vocabulary(frozen: Mapping[str, int] | None = None) -> dict[str, int]:
    """A mapping that gives a new word the next id from 1, on top of `frozen` if that is given."""
    return _Vocabulary(frozen) if frozen else defaultdict(count(1).__next__)


def encode_texts(texts: Sequence[str], vocabulary: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Turn texts into word ids.

    Args:
        texts: At least one; words separated by white space.
        vocabulary: From `new_vocabulary`; new words are added to it.

    Returns:
        `words` and `bounds` as in `Corpus`.

    >>> words, bounds = encode_texts(["a dog", "", "a"], new_vocabulary())
    >>> words.tolist(), bounds.tolist()
    ([1, 2, 0, 0, 1], [[0, 2], [3, 3], [4, 5]])
    """
    vocabulary[_END] = 0
    words = f" {_END} ".join(texts).split()
    ids = np.fromiter(map(vocabulary.__getitem__, words), np.int32, len(words))
    ends = np.flatnonzero(ids == 0)
    if len(ends) != len(texts) - 1:
        ids = _encode_with_marks(texts, vocabulary)
        ends = np.flatnonzero(ids == 0)
    bounds = np.empty((len(texts), 2), np.int64)
    bounds[0, 0], bounds[1:, 0] = 0, ends + 1
    bounds[:-1, 1], bounds[-1, 1] = ends, len(ids)
    return ids, bounds


def _encode_with_marks(texts: Sequence[str], vocabulary: dict[str, int]) -> np.ndarray:
    """Word ids of texts in which the mark between texts occurs as a word; a trailing space tells the two apart."""
    lists = ([f"{word} " if word == _END else word for word in text.split()] for text in texts)
    words = chain.from_iterable((*one, _END) for one in lists)
    return np.array([vocabulary[word] for word in words][:-1], np.int32)


def encode_corpus(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Corpus:
    """Turn checked candidates and references into arrays.

    The last corpus is kept, so that several scores of the same captions encode them once.

    Args:
        candidates: Tokenized strings.
        references: Lists of tokenized strings.
    """
    texts, sizes = [*candidates, *chain.from_iterable(references)], list(map(len, references))
    if not (_last and _last[0].sizes == sizes and _last[0].texts == texts):
        corpus = Corpus(texts, sizes)
        _last[:] = [corpus]
        if len(corpus.words) > _MAX_WORDS_KEPT:
            _last.clear()
        return corpus
    return _last[0]


def new_table(edges: int) -> np.ndarray:
    """An empty table with room for `edges`."""
    return np.zeros((1 << max(4, (2 * edges).bit_length()), 2), np.uint64)


def build_trie(words: np.ndarray, bounds: np.ndarray) -> Trie:
    """The n-grams of the texts that `encode_texts` encoded."""
    nodes, node_count, table = _enter_all(words, bounds, new_table(len(words) // 2))
    return Trie(nodes, int(node_count), table)


@njit(cache=True, inline="always")
def slot_of(table: np.ndarray, key: np.uint64) -> np.uint64:
    """Where `key` is, or the free slot where it belongs (Fibonacci hashing, linear probing)."""
    mask = np.uint64(len(table) - 1)
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while table[slot, 0] != 0 and table[slot, 0] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, inline="always")
def trie_edge(table: np.ndarray, node: int, word: int) -> np.uint64:
    """What the table stores for the edge from `node` by `word`; 0 if there is no such edge."""
    return table[slot_of(table, (np.uint64(node) << np.uint64(32)) | np.uint64(word)), 1]


@njit(cache=True)
def _grown(table):
    """The same edges in a table four times as large."""
    larger = np.zeros((len(table) * 4, 2), np.uint64)
    for i in range(len(table)):
        if table[i, 0] != 0:
            larger[slot_of(larger, table[i, 0])] = table[i]
    return larger


@njit(cache=True)
def _enter_all(words, bounds, table):
    """Enter every n-gram of every text; return (nodes, node_count, table)."""
    nodes = np.full((len(words), ORDER), -1, np.int32)
    node_count = 1
    for text in range(len(bounds)):
        for start in range(bounds[text, 0], bounds[text, 1]):
            node = 0
            for n in range(min(ORDER, bounds[text, 1] - start)):
                key = (np.uint64(node) << np.uint64(32)) | np.uint64(words[start + n])
                slot = slot_of(table, key)
                if table[slot, 0] == 0:
                    table[slot, 0] = key
                    table[slot, 1] = node_count
                    node_count += 1
                    if 2 * node_count > len(table):
                        table = _grown(table)
                        slot = slot_of(table, key)
                node = table[slot, 1]
                nodes[start, n] = node
    return nodes, node_count, table

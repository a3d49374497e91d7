"""Captions as arrays: word ids, and n-grams as the nodes of one trie.

Word t of a text has the nodes `nodes[0, t] ... nodes[3, t]`: the n-grams of 1 to 4 words that start there, -1 where the
text ends before. A node is found by its parent and its last word in one open-addressing table whose keys hold both
numbers whole, so two n-grams never share a node and no score depends on a hash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["ORDER", "Corpus", "Table", "encode_corpus", "encode_texts", "new_table", "trie_child"]

ORDER = 4
_END = "\0"


class Table(NamedTuple):
    """The edges of a trie: `keys` uint64 and `children` int32, (slots,), a power of two; key 0 marks a free slot."""

    keys: np.ndarray
    children: np.ndarray


class Corpus(NamedTuple):
    """Candidates and references as arrays.

    Attributes:
        words: Int32, shape (words,): word ids from 1; 0 stands between two texts.
        bounds: Int64, shape (texts, 2): where each text starts and ends in `words`; candidates first, then all
            references.
        first_reference: Int64, shape (items + 1,): item i has the texts `first_reference[i]` to
            `first_reference[i + 1]` as references.
        nodes: Int32, shape (4, words).
        node_count: Nodes with the root, which is node 0.
        table: The edges.
    """

    words: np.ndarray
    bounds: np.ndarray
    first_reference: np.ndarray
    nodes: np.ndarray
    node_count: int
    table: Table


class _Vocabulary(defaultdict):
    """Word → id over a frozen vocabulary: words it lacks get the ids behind it, for the life of this object."""

    def __init__(self, frozen: Mapping[str, int]) -> None:
        self.frozen = frozen
        super().__init__(count(len(frozen) + 1).__next__)

    def __missing__(self, word: str) -> int:
        known = self.frozen.get(word)
        self[word] = known = self.default_factory() if known is None else known
        return known


def new_vocabulary(frozen: Mapping[str, int] | None = None) -> dict[str, int]:
    """A mapping that gives a new word the next id from 1, on top of `frozen` if that is given."""
    return _Vocabulary(frozen) if frozen else defaultdict(count(1).__next__)


def encode_texts(texts: Sequence[str], vocabulary: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Turn texts into word ids.

    Args:
        texts: Tokens with white space between them.
        vocabulary: What `new_vocabulary` gave; it grows.

    Returns:
        `words` and `bounds` as in `Corpus`.

    >>> words, bounds = encode_texts(["a dog", "", "a"], new_vocabulary())
    >>> words.tolist(), bounds.tolist()
    ([1, 2, 0, 0, 1], [[0, 2], [3, 3], [4, 5]])
    """
    words = f" {_END} ".join(texts).split()
    if words.count(_END) != len(texts) - 1:
        words = list(chain.from_iterable((*(w + " " if w == _END else w for w in t.split()), _END) for t in texts))[:-1]
    vocabulary[_END] = 0
    ids = np.fromiter(map(vocabulary.__getitem__, words), np.int32, len(words))
    ends = np.flatnonzero(ids == 0)
    bounds = np.empty((len(texts), 2), np.int64)
    bounds[0, 0], bounds[1:, 0] = 0, ends + 1
    bounds[:-1, 1], bounds[-1, 1] = ends, len(ids)
    return ids, bounds


def encode_corpus(
    candidates: Sequence[str], references: Sequence[Sequence[str]], frozen: Mapping[str, int] | None = None
) -> Corpus:
    """Turn checked candidates and references into arrays.

    Args:
        candidates: Tokenized strings.
        references: Lists of tokenized strings.
        frozen: Word ids to keep to, such as those of a document frequency.
    """
    sizes = np.fromiter(map(len, references), np.int64, len(references))
    first_reference = np.concatenate(([0], np.cumsum(sizes))) + len(candidates)
    texts = [*candidates, *chain.from_iterable(references)]
    words, bounds = encode_texts(texts, new_vocabulary(frozen))
    nodes, node_count, keys, children = build_trie(words, bounds, *new_table(1 << 12))
    return Corpus(words, bounds, first_reference, nodes, int(node_count), Table(keys, children))


def new_table(slots: int) -> Table:
    """An empty table of `slots` places, a power of two."""
    return Table(np.zeros(slots, np.uint64), np.zeros(slots, np.int32))


@njit(cache=True, inline="always")
def _slot(keys, key):
    """Where `key` is, or the free place where it belongs (Fibonacci hashing, linear probing)."""
    mask = np.uint64(len(keys) - 1)
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@njit(cache=True, inline="always")
def trie_child(keys, children, node, word):
    """The child of `node` by `word`, or -1."""
    key = (np.uint64(node) << np.uint64(32)) | np.uint64(word)
    slot = _slot(keys, key)
    return children[slot] if keys[slot] == key else np.int32(-1)


@njit(cache=True)
def _grown(keys, children):
    """The same edges in a table four times as large."""
    larger_keys = np.zeros(len(keys) * 4, np.uint64)
    larger_children = np.zeros(len(keys) * 4, np.int32)
    for i in range(len(keys)):
        if keys[i] != 0:
            slot = _slot(larger_keys, keys[i])
            larger_keys[slot] = keys[i]
            larger_children[slot] = children[i]
    return larger_keys, larger_children


@njit(cache=True)
def build_trie(words, bounds, keys, children):
    """Enter every n-gram of every text; return (nodes, node_count, keys, children)."""
    nodes = np.full((ORDER, len(words)), -1, np.int32)
    node_count = 1
    for text in range(len(bounds)):
        for start in range(bounds[text, 0], bounds[text, 1]):
            node = 0
            for n in range(min(ORDER, bounds[text, 1] - start)):
                key = (np.uint64(node) << np.uint64(32)) | np.uint64(words[start + n])
                slot = _slot(keys, key)
                if keys[slot] == 0:
                    keys[slot] = key
                    children[slot] = node_count
                    node_count += 1
                    if 2 * node_count > len(keys):
                        keys, children = _grown(keys, children)
                        slot = _slot(keys, key)
                node = children[slot]
                nodes[n, start] = node
    return nodes, node_count, keys, children

"""Texts a document frequency has met, as arrays, so that a reward encodes the references of a picture only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numba import njit

from ofakit.scores.ngrams import ORDER, Table, encode_texts, new_vocabulary, trie_child

__all__ = ["RememberedTexts", "shared_length", "vector_norms"]

_MAX_WORDS = 2_000_000


class RememberedTexts:
    """Texts by number. Past two million words (about 50 MB) all are forgotten.

    Args:
        vocabulary: Word → id of a document frequency.
        table: The edges of its trie.
        weights: Squared weight of each node of the trie, float64, shape (nodes,); the root's is that of an unknown
            n-gram.

    Attributes:
        words: Int32, shape (room,): word ids, text after text.
        nodes: Int32, shape (room, 4): the node of the n-grams that start at each word; 0 for an unknown one.
        bounds: Int64, shape (room, 2): where each text starts and ends in `words`.
        norms: Float64, shape (room, 4): length of each text's vector of n-gram counts times weights, for each order.
    """

    def __init__(self, vocabulary: Mapping[str, int], table: Table, weights: np.ndarray) -> None:
        self._frozen, self._table, self.weights = vocabulary, table, weights
        self._forget()

    def _forget(self) -> None:
        self._vocabulary = new_vocabulary(self._frozen)
        self._numbers: dict[str, int] = {}
        self._used = 0
        self.words = np.empty(0, np.int32)
        self.nodes = np.empty((0, ORDER), np.int32)
        self.bounds = np.empty((0, 2), np.int64)
        self.norms = np.empty((0, ORDER))

    def numbers(self, texts: Sequence[str]) -> np.ndarray:
        """Enter the texts that are new.

        Args:
            texts: Tokens with white space between them.

        Returns:
            The number of each text, int64, shape (texts,). Those of an earlier call may have lost their meaning.
        """
        try:
            return np.fromiter(map(self._numbers.__getitem__, texts), np.int64, len(texts))
        except KeyError:
            if self._used > _MAX_WORDS:
                self._forget()
            self._enter([text for text in dict.fromkeys(texts) if text not in self._numbers])
        return np.fromiter(map(self._numbers.__getitem__, texts), np.int64, len(texts))

    def _enter(self, texts: list[str]) -> None:
        words, bounds, _ = encode_texts(texts, self._vocabulary)
        first, begin = len(self._numbers), self._used
        last, end = first + len(texts), begin + len(words)
        self.words, self.nodes = _with_room(self.words, end), _with_room(self.nodes, end)
        self.bounds, self.norms = _with_room(self.bounds, last), _with_room(self.norms, last)
        self.words[begin:end] = words
        self.bounds[first:last] = bounds + begin
        _look_up(self.words, self.bounds[first:last], *self._table, self.nodes)
        vector_norms(self.words, self.bounds[first:last], self.nodes, self.weights, self.norms[first:last])
        self._numbers.update(zip(texts, range(first, last), strict=True))
        self._used = end


def _with_room(array: np.ndarray, length: int) -> np.ndarray:
    """`array`, or a copy with twice the room if `length` rows do not fit."""
    if length <= len(array):
        return array
    larger = np.empty((2 * length, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


@njit(cache=True)
def shared_length(words, left, left_end, right, right_end):
    """How many words from `left` on equal those from `right` on, up to 4."""
    length = 0
    limit = min(ORDER, left_end - left, right_end - right)
    while length < limit and words[left + length] == words[right + length]:
        length += 1
    return length


@njit(cache=True)
def _look_up(words, bounds, keys, children, nodes):
    """Fill `nodes`; 0 for an n-gram the trie lacks."""
    for text in range(len(bounds)):
        start, end = bounds[text]
        for place in range(start, end):
            node = np.int32(0)
            for n in range(min(ORDER, end - place)):
                if node >= 0:
                    node = trie_child(keys, children, node, words[place + n])
                nodes[place, n] = max(node, 0)


@njit(cache=True)
def vector_norms(words, bounds, nodes, weights, norms):
    """Fill `norms`. One more of an n-gram that was there k times adds 2k + 1 times its squared weight."""
    for text in range(len(bounds)):
        start, end = bounds[text]
        norms[text] = 0.0
        for place in range(start, end):
            for n in range(min(ORDER, end - place)):
                norms[text, n] += weights[nodes[place, n]]
            for earlier in range(start, place):
                if words[earlier] == words[place]:
                    for n in range(shared_length(words, earlier, end, place, end)):
                        norms[text, n] += 2.0 * weights[nodes[place, n]]
        for n in range(ORDER):
            norms[text, n] = np.sqrt(norms[text, n])

"""The texts that were scored with a document frequency, as arrays: a reward encodes an image's references only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numba import njit

from ofakit.scores.ngrams import ORDER, encode_texts, new_vocabulary, trie_edge

__all__ = ["TextCache", "shared_length", "vector_norms"]

_MAX_WORDS = 2_000_000


class TextCache:
    """Texts by number. Beyond two million words (about 80 MB) it forgets all of them and starts over.

    Args:
        vocabulary: Word → id of a document frequency.
        table: The edges of its trie, without those to n-grams of a single document.
        weights: Squared weight of an n-gram by the number of documents that have it, float64, shape (documents + 1,).

    Attributes:
        words: Int32, shape (room,): word ids, text after text.
        weights: Float64, shape (room, 4): squared weight of the n-grams that start at each word.
        bounds: Int64, shape (room, 2): where each text starts and ends in `words`.
        norms: Float64, shape (room, 4): length of each text's vector of n-gram counts times weights, for each order.
    """

    def __init__(self, vocabulary: Mapping[str, int], table: np.ndarray, weights: np.ndarray) -> None:
        self._frozen, self._table, self._weight_of_count = vocabulary, table, weights
        self._forget()

    def _forget(self) -> None:
        self._vocabulary = new_vocabulary(self._frozen)
        self._numbers: dict[str, int] = {}
        self._used = 0
        self.words = np.empty(0, np.int32)
        self.weights = np.empty((0, ORDER))
        self.bounds = np.empty((0, 2), np.int64)
        self.norms = np.empty((0, ORDER))

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`words`, `weights`, `bounds` and `norms`."""
        return self.words, self.weights, self.bounds, self.norms

    def numbers(self, texts: Sequence[str]) -> np.ndarray:
        """The numbers of texts; new ones are added.

        Args:
            texts: Tokens with white space between them.

        Returns:
            The number of each text, int64, shape (texts,). Numbers from earlier calls may no longer be valid.
        """
        found = list(map(self._numbers.get, texts))
        if None in found:
            if self._used > _MAX_WORDS:
                self._forget()
                found = [None] * len(texts)
            new = dict.fromkeys(text for text, number in zip(texts, found, strict=True) if number is None)
            self._enter(list(new))
            found = list(map(self._numbers.__getitem__, texts))
        return np.array(found, np.int64)

    def _enter(self, texts: list[str]) -> None:
        words, bounds = encode_texts(texts, self._vocabulary)
        first, begin = len(self._numbers), self._used
        last, end = first + len(texts), begin + len(words)
        self.words, self.weights = _with_room(self.words, end), _with_room(self.weights, end)
        self.bounds, self.norms = _with_room(self.bounds, last), _with_room(self.norms, last)
        self.words[begin:end] = words
        self.bounds[first:last] = bounds + begin
        new = self.bounds[first:last]
        _look_up(self.words, new, self._table, self._weight_of_count, self.weights)
        vector_norms(self.words, self.weights, new, self.norms[first:last])
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
def shared_length(words: np.ndarray, left: int, left_end: int, right: int, right_end: int) -> int:
    """How many words starting at `left` equal those starting at `right`, at most 4.

    Args:
        words: Int32, shape (words,).
        left: Where the one text is read from.
        left_end: Where it ends.
        right: Where the other is read from.
        right_end: Where that ends.
    """
    length = 0
    limit = min(ORDER, left_end - left, right_end - right)
    while length < limit and words[left + length] == words[right + length]:
        length += 1
    return length


@njit(cache=True)
def _look_up(words, bounds, table, weight_of_count, weights):
    """Fill `weights`, one order after the other: look-ups that do not wait for each other overlap in the processor."""
    begin = bounds[0, 0]
    nodes = np.zeros(bounds[-1, 1] - begin, np.int32)
    for n in range(ORDER):
        for text in range(len(bounds)):
            start, end = bounds[text]
            for place in range(start, end - n):
                edge = np.uint64(0)
                if n == 0 or nodes[place - begin]:
                    edge = trie_edge(table, nodes[place - begin], words[place + n])
                    nodes[place - begin] = np.int32(edge & np.uint64(0xFFFFFFFF))
                weights[place, n] = weight_of_count[edge >> np.uint64(32)]


@njit(cache=True)
def vector_norms(words: np.ndarray, weights: np.ndarray, bounds: np.ndarray, norms: np.ndarray) -> None:
    """Fill `norms`. The next occurrence of an n-gram seen k times so far adds 2k + 1 times its squared weight.

    Args:
        words: Int32, shape (words,).
        weights: Float64, shape (words, 4): squared weight of the n-grams that start at each word.
        bounds: Int64, shape (texts, 2): where each text starts and ends.
        norms: Float64, shape (texts, 4): is overwritten.
    """
    for text in range(len(bounds)):
        start, end = bounds[text]
        norms[text] = 0.0
        for place in range(start, end):
            for n in range(min(ORDER, end - place)):
                norms[text, n] += weights[place, n]
            for earlier in range(start, place):
                if words[earlier] == words[place]:
                    for n in range(shared_length(words, earlier, end, place, end)):
                        norms[text, n] += 2.0 * weights[place, n]
        for n in range(ORDER):
            norms[text, n] = np.sqrt(norms[text, n])

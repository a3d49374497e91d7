"""In how many images' references each n-gram occurs: counted once, saved, and used by CIDEr-D as a reward.

frequency = document_frequency(references_of_the_training_split)
frequency.save("work_dir/train.df.npz")
cider_d(candidates, references, document_frequency=DocumentFrequency.load("work_dir/train.df.npz"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from ofakit.errors import UsageError
from ofakit.scores.array_files import load_arrays, pack_strings, save_arrays, unpack_strings
from ofakit.scores.ngrams import ORDER, build_trie, encode_texts, new_table, new_vocabulary, slot_of, trie_edge
from ofakit.scores.score import check_pairs
from ofakit.scores.text_cache import TextCache

__all__ = ["END", "DocumentFrequency", "count_documents", "document_frequency", "squared_weights"]

END = "<eos>"
"""The word that ends every caption when captions are counted for the reward CIDEr-D; scoring has no such word."""

_KIND = "ofakit document frequency 1"
_CHILD = 0xFFFFFFFF


class DocumentFrequency:
    """Document frequencies of the n-grams of 1 to 4 words; made by `document_frequency` or `load`. Picklable.

    Args:
        vocabulary: Word → id, from 1.
        table: The edges of the n-gram trie, as in `ngrams.Trie`, with the number of documents an n-gram occurs in as
            the upper half of its child.
        documents: Number of documents, that is, of images.
    """

    def __init__(self, vocabulary: dict[str, int], table: np.ndarray, documents: int) -> None:
        self.vocabulary = vocabulary
        self.table = table
        self.documents = documents

    @cached_property
    def text_cache(self) -> TextCache:
        """The texts scored with this object so far.

        An n-gram that occurs in one document weighs as much as one that occurs in none. Nine in ten are like that, and
        so are all longer ones that start with them; a table of the rest is small enough for the processor's cache.
        """
        frequent = self.table[self.table[:, 1] >= np.uint64(2 << 32)]
        table = new_table(len(frequent))
        _fill(frequent, table)
        return TextCache(self.vocabulary, table, squared_weights(self.documents))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "text_cache"}

    def __len__(self) -> int:
        """Number of different n-grams."""
        return int(np.count_nonzero(self.table[:, 0]))

    def __getitem__(self, ngram: str) -> int:
        """Number of documents that have `ngram`, which is 1 to 4 words separated by spaces; 0 if none has."""
        edge = 0
        for word in encode_texts([ngram], new_vocabulary(self.vocabulary))[0]:
            edge = int(trie_edge(self.table, edge & _CHILD, word))
            if not edge:
                return 0
        return edge >> 32

    @property
    def for_reward(self) -> bool:
        """Whether the captions it was counted on end with `END`: then it serves the reward, and nothing else."""
        return self[END] > 0

    def __repr__(self) -> str:
        return f"DocumentFrequency(documents={self.documents}, ngrams={len(self)})"

    def save(self, path: str | Path) -> None:
        """Write it to `path` (NumPy's npz, without pickle), complete or not at all.

        Args:
            path: The file; its folder must exist.
        """
        taken = self.table[self.table[:, 0] != 0]
        taken = taken[np.argsort(taken[:, 1] & np.uint64(_CHILD))]
        words = pack_strings(sorted(self.vocabulary, key=self.vocabulary.__getitem__))
        save_arrays(
            path, _KIND, documents=self.documents, words=words, edges=taken[:, 0], counts=taken[:, 1] >> np.uint64(32)
        )

    @classmethod
    def load(cls, path: str | Path) -> DocumentFrequency:
        """Read what `save` wrote, or what OFA, Oscar and self-critical.pytorch call coco-train-words.p.

        Args:
            path: The file. A pickle is read as plain data; one that holds more is refused.

        Raises:
            UsageError: The file is missing, or does not hold document frequencies of this version.
        """
        if Path(path).suffix in (".p", ".pkl", ".pickle"):
            return cls._from_pickle(Path(path))
        cure = "make one with: python tools/data.py document-frequency"
        stored = load_arrays(path, _KIND, ("documents", "words", "edges", "counts"), cure)
        if len(stored["edges"]) != len(stored["counts"]):
            raise UsageError(f"{path}: expected a count for each of {len(stored['edges'])} n-grams; {cure}")
        vocabulary = {word: number for number, word in enumerate(unpack_strings(stored["words"]), start=1)}
        table = new_table(len(stored["edges"]))
        children = np.arange(1, len(stored["edges"]) + 1, dtype=np.uint64) | stored["counts"].astype(np.uint64) << 32
        _fill(np.column_stack((stored["edges"], children)), table)
        return cls(vocabulary, table, int(stored["documents"]))

    @classmethod
    def from_counts(cls, counts: Mapping[tuple[str, ...], float], documents: int) -> DocumentFrequency:
        """Document frequencies that were counted elsewhere.

        Args:
            counts: In how many documents each n-gram occurs, a tuple of 1 to 4 words.
            documents: Number of documents.

        >>> DocumentFrequency.from_counts({("a",): 2, ("a", "dog"): 1, ("dog",): 1}, documents=3)["a dog"]
        1
        """
        vocabulary = new_vocabulary()
        words, bounds = encode_texts([" ".join(ngram) for ngram in counts], vocabulary)
        trie = build_trie(words, bounds)
        last = trie.nodes[bounds[:, 0], bounds[:, 1] - bounds[:, 0] - 1]
        by_node = np.zeros(trie.node_count, np.int64)
        by_node[last] = np.fromiter(counts.values(), np.float64, len(counts))
        trie.table[:, 1] |= by_node[trie.table[:, 1]].astype(np.uint64) << np.uint64(32)
        return cls({word: number for word, number in vocabulary.items() if number}, trie.table, documents)

    @classmethod
    def _from_pickle(cls, path: Path) -> DocumentFrequency:
        from ofakit.data.plain_pickle import read_plain_pickle

        content = read_plain_pickle(path, "document frequencies")
        counts: Any = content.get("document_frequency") if isinstance(content, Mapping) else None
        documents: Any = content.get("ref_len") if isinstance(content, Mapping) else None
        whole = isinstance(counts, Mapping) and counts and isinstance(documents, int | float) and documents >= 1
        if not whole or not all(
            isinstance(ngram, tuple) and 0 < len(ngram) <= ORDER and all(_is_word(word) for word in ngram)
            for ngram in counts
        ):
            raise UsageError(
                f"expected {{'ref_len', 'document_frequency': {{(word, ...): count}}}} in {path}, words as text, found "
                f"{str(content)[:60]!r}; make ours from annotations with: python tools/data.py document-frequency"
            )
        return cls.from_counts(counts, round(documents))


def document_frequency(references: Sequence[Sequence[str]]) -> DocumentFrequency:
    """Count in how many reference lists each n-gram occurs.

    Args:
        references: The references of each image, tokenized strings.

    Raises:
        UsageError: There are no lists, a list is empty, or something in one is not a string.

    >>> frequency = document_frequency([["a dog", "a brown dog"], ["a cat"]])
    >>> frequency["a"], frequency["a dog"], frequency["zebra"], frequency.documents
    (2, 1, 0, 2)
    """
    check_pairs([""] * len(references), references)
    vocabulary = new_vocabulary()
    words, bounds = encode_texts(list(chain.from_iterable(references)), vocabulary)
    trie = build_trie(words, bounds)
    last_reference = np.fromiter(accumulate(map(len, references)), np.int64, len(references))
    counts = count_documents(trie.nodes, bounds, 0, last_reference, trie.node_count)
    plain = {word: number for word, number in vocabulary.items() if number}
    trie.table[:, 1] |= counts[trie.table[:, 1]].astype(np.uint64) << np.uint64(32)
    return DocumentFrequency(plain, trie.table, len(references))


def _is_word(word: Any) -> bool:
    return isinstance(word, str) and len(word.split(" ")) == 1 and word != ""


def squared_weights(documents: int) -> np.ndarray:
    """The squared weight of an n-gram by its document count, (log(documents) - log(max(1, count)))^2.

    Args:
        documents: Number of documents.

    Returns:
        Float64, shape (documents + 1,): one weight for each count from 0 to `documents`.
    """
    return (np.log(float(documents)) - np.log(np.maximum(np.arange(documents + 1), 1.0))) ** 2


@njit(cache=True)
def count_documents(
    nodes: np.ndarray, bounds: np.ndarray, first: int, last_reference: np.ndarray, node_count: int
) -> np.ndarray:
    """Count the items that have each node in a reference.

    Args:
        nodes: As in `ngrams.Trie`.
        bounds: As in `ngrams.Corpus`.
        first: The text that is the first item's first reference.
        last_reference: Int64, shape (items,): one past the text that is each item's last reference.
        node_count: Number of nodes.

    Returns:
        Int32, shape (node_count,).
    """
    counts = np.zeros(node_count, np.int32)
    last_seen = np.full(node_count, -1, np.int64)
    for item in range(len(last_reference)):
        for reference in range(first, last_reference[item]):
            start, end = bounds[reference]
            for t in range(start, end):
                for n in range(min(ORDER, end - t)):
                    node = nodes[t, n]
                    if last_seen[node] != item:
                        last_seen[node] = item
                        counts[node] += 1
        first = last_reference[item]
    return counts


@njit(cache=True)
def _fill(rows, table):
    """Enter rows of a table into an empty one."""
    for i in range(len(rows)):
        table[slot_of(table, rows[i, 0])] = rows[i]

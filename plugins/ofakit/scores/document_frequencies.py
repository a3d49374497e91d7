"""How many pictures of a corpus have an n-gram in their references: built once, saved, and used by CIDEr as a reward.

frequency = document_frequency(references_of_the_training_split)
frequency.save("work_dir/train.df.npz")
cider_d(candidates, references, document_frequency=DocumentFrequency.load("work_dir/train.df.npz"))
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from ofakit.scores.array_files import load_arrays, pack_strings, save_arrays, unpack_strings
from ofakit.scores.ngrams import (
    ORDER,
    Table,
    build_trie,
    encode_texts,
    free_slot,
    new_table,
    new_vocabulary,
    trie_child,
)
from ofakit.scores.remembered import RememberedTexts
from ofakit.scores.score import check_pairs

__all__ = ["DocumentFrequency", "document_frequency"]

_KIND = "ofakit document frequency 1"


class DocumentFrequency:
    """Document frequencies of the n-grams of 1 to 4 words; made by `document_frequency` or `load`. Picklable.

    Args:
        vocabulary: Word → id, from 1.
        table: The edges of the n-gram trie.
        counts: Int32, shape (nodes,): in how many documents the n-gram of a node occurs.
        documents: Number of documents, that is, of pictures.
    """

    def __init__(self, vocabulary: dict[str, int], table: Table, counts: np.ndarray, documents: int) -> None:
        self.vocabulary = vocabulary
        self.table = table
        self.counts = counts
        self.documents = documents

    @cached_property
    def remembered(self) -> RememberedTexts:
        """The texts scored with this object so far."""
        return RememberedTexts(self.vocabulary, self.table, squared_weights(self.counts, self.documents))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "remembered"}

    def __len__(self) -> int:
        """Number of different n-grams."""
        return len(self.counts) - 1

    def __getitem__(self, ngram: str) -> int:
        """Number of documents that have `ngram`, 1 to 4 words with spaces between them; 0 where none has."""
        node = 0
        for word in ngram.split():
            node = trie_child(*self.table, node, self.vocabulary[word]) if word in self.vocabulary else -1
            if node < 0:
                return 0
        return int(self.counts[node]) if node else 0

    def __repr__(self) -> str:
        return f"DocumentFrequency(documents={self.documents}, ngrams={len(self)})"

    def save(self, path: str | Path) -> None:
        """Write it to `path` (NumPy's npz, without pickle), complete or not at all.

        Args:
            path: The file; its folder must exist.
        """
        taken = self.table.keys != 0
        edges = self.table.keys[taken][np.argsort(self.table.children[taken])]
        words = pack_strings(sorted(self.vocabulary, key=self.vocabulary.__getitem__))
        save_arrays(path, _KIND, documents=self.documents, words=words, edges=edges, counts=self.counts)

    @classmethod
    def load(cls, path: str | Path) -> DocumentFrequency:
        """Read what `save` wrote.

        Args:
            path: The file.

        Raises:
            UsageError: It is missing or no document frequency of this version.
        """
        stored = load_arrays(path, _KIND, "make one with: python tools/data.py document-frequency")
        vocabulary = {word: number for number, word in enumerate(unpack_strings(stored["words"]), start=1)}
        table = new_table(len(stored["edges"]))
        _fill(stored["edges"], *table)
        return cls(vocabulary, table, stored["counts"], int(stored["documents"]))


def document_frequency(references: Sequence[Sequence[str]]) -> DocumentFrequency:
    """Count in how many reference lists each n-gram occurs.

    Args:
        references: For each picture its references, tokenized strings.

    Raises:
        UsageError: Something in the lists is not a string, a list is empty, or there is none.

    >>> frequency = document_frequency([["a dog", "a brown dog"], ["a cat"]])
    >>> frequency["a"], frequency["a dog"], frequency["zebra"], frequency.documents
    (2, 1, 0, 2)
    """
    check_pairs([""] * len(references), references)
    vocabulary = new_vocabulary()
    words, bounds, _ = encode_texts(list(chain.from_iterable(references)), vocabulary)
    trie = build_trie(words, bounds)
    last_reference = np.fromiter(accumulate(map(len, references)), np.int64, len(references))
    counts = count_documents(trie.nodes, bounds, 0, last_reference, trie.node_count)
    plain = {word: number for word, number in vocabulary.items() if number}
    return DocumentFrequency(plain, trie.table, counts, len(references))


def squared_weights(counts: np.ndarray, documents: int) -> np.ndarray:
    """Square of log(documents) - log(max(1, count)) of each node, float64, shape (nodes,)."""
    weights = np.log(float(documents)) - np.log(np.maximum(np.arange(counts.max() + 1), 1.0))
    return (weights**2)[counts]


@njit(cache=True)
def count_documents(nodes, bounds, first, last_reference, node_count):
    """For each node the number of items with a reference that has it; the first item's start at text `first`."""
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
def _fill(edges, keys, children):
    """Enter `edges`, in the order of the nodes they lead to, into an empty table."""
    for i in range(len(edges)):
        slot = free_slot(keys, edges[i])
        keys[slot] = edges[i]
        children[slot] = i + 1

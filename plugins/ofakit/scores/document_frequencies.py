"""How many pictures of a corpus have an n-gram in their references: built once, saved, and used by CIDEr as a reward.

frequency = document_frequency(references_of_the_training_split)
frequency.save("work_dir/train.df.npz")
cider_d(candidates, references, document_frequency=DocumentFrequency.load("work_dir/train.df.npz"))
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numba import njit

from ofakit.errors import UsageError
from ofakit.scores.ngrams import ORDER, Table, build_trie, encode_texts, new_table, new_vocabulary, trie_child
from ofakit.scores.score import check_pairs

__all__ = ["DocumentFrequency", "document_frequency"]

_FORMAT = 1


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
        order = np.argsort(self.table.children[taken])
        edges = self.table.keys[taken][order]
        words = "\n".join(sorted(self.vocabulary, key=self.vocabulary.__getitem__)).encode()
        path = Path(path)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with open(unfinished, "wb") as file:
                np.savez_compressed(
                    file,
                    format=_FORMAT,
                    documents=self.documents,
                    words=np.frombuffer(words, np.uint8),
                    edges=edges,
                    counts=self.counts,
                )
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> DocumentFrequency:
        """Read what `save` wrote.

        Args:
            path: The file.

        Raises:
            UsageError: It is missing or no document frequency of this version.
        """
        cure = "make one with: python tools/data.py document-frequency"
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as stored:
                version, documents = int(stored["format"]), int(stored["documents"])
                words, edges, counts = stored["words"].tobytes().decode(), stored["edges"], stored["counts"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path}: expected a document frequency file, found {error}; {cure}") from error
        if version != _FORMAT or len(edges) != len(counts) - 1:
            raise UsageError(f"{path}: expected document frequency format {_FORMAT}, found {version}; {cure}")
        vocabulary = {word: number for number, word in enumerate(words.split("\n"), start=1) if word}
        table = new_table(1 << max(4, (2 * len(edges)).bit_length()))
        _fill(edges, *table)
        return cls(vocabulary, table, counts, documents)


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
    words, bounds = encode_texts(list(chain.from_iterable(references)), vocabulary)
    nodes, node_count, keys, children = build_trie(words, bounds, *new_table(1 << 12))
    firsts = np.concatenate(([0], np.cumsum(np.fromiter(map(len, references), np.int64, len(references)))))
    counts = count_documents(nodes, bounds, firsts, node_count)
    plain = {word: number for word, number in vocabulary.items() if number}
    return DocumentFrequency(plain, Table(keys, children), counts, len(references))


@njit(cache=True)
def count_documents(nodes, bounds, first_reference, node_count):
    """For each node the number of items with a reference that has it; int32, shape (nodes,)."""
    counts = np.zeros(node_count, np.int32)
    last_seen = np.full(node_count, -1, np.int64)
    for item in range(len(first_reference) - 1):
        for reference in range(first_reference[item], first_reference[item + 1]):
            start, end = bounds[reference]
            for n in range(min(ORDER, end - start)):
                for t in range(start, end - n):
                    node = nodes[n, t]
                    if last_seen[node] != item:
                        last_seen[node] = item
                        counts[node] += 1
    return counts


@njit(cache=True)
def _fill(edges, keys, children):
    """Enter `edges`, in the order of the nodes they lead to, into an empty table."""
    mask = np.uint64(len(keys) - 1)
    for i in range(len(edges)):
        mixed = edges[i] * np.uint64(0x9E3779B97F4A7C15)
        slot = (mixed ^ (mixed >> np.uint64(32))) & mask
        while keys[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        keys[slot] = edges[i]
        children[slot] = i + 1

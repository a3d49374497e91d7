"""Passages found by the words they share with a query: BM25, with the index and the variants of bm25s.

    index = BM25Index.build(ids, texts, BM25Settings(k1=0.9, b=0.4))
    index.save("work_dir/bm25")
    scores, ids = BM25Index.load("work_dir/bm25").search(["a question"], k=100)

The files of the directory are those that `bm25s.BM25.save` writes, so that bm25s reads them too, beside `ids.json` and
`index.json`, which has what other index directories say of themselves:

    {"format": "ofakit-index", "version": 1, "metric": "bm25", "count": 3662, "fingerprint": "9f…",
     "settings": {"k1": 0.9, "b": 0.4, …}, "files": {"ids.json": {"bytes": …, "sha256": "…"}, …}}

Weights are memory-mapped when they are read. A passage without a word of the query is never returned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ofakit.errors import UsageError
from ofakit.files import replace_folder, settle
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.retrieval._postings import Postings, search_postings
from ofakit.retrieval.bm25_settings import BM25Settings
from ofakit.retrieval.bm25_words import known_words, tokenize
from ofakit.retrieval.run import Run

if TYPE_CHECKING:
    import bm25s


__all__ = ["BM25Index", "fingerprint_of"]


class BM25Index:
    """An index of passages.

    Args:
        ids: The id of each passage.
        model: What bm25s made of their texts.
        settings: How they are scored.
        fingerprint: That of ids and texts.

    Attributes:
        ids: The id of each passage.
        settings: How passages are scored.
        fingerprint: Tells whether an index was made of the same passages.

    >>> index = BM25Index.build(["a", "b", "c"], ["red dogs run", "red cats", "green frogs"])
    >>> scores, ids = index.search(["Red dogs?", "blue"], k=3)
    >>> ids
    [['a', 'b'], []]
    """

    def __init__(self, ids: Sequence[str], model: bm25s.BM25, settings: BM25Settings, fingerprint: str) -> None:
        self.ids = ids
        self.settings = settings
        self.fingerprint = fingerprint
        self._model = model

    @classmethod
    def build(
        cls,
        ids: Sequence[str],
        texts: Sequence[str | None],
        settings: BM25Settings | None = None,
        tokens: Any = None,
        progress: bool = False,
    ) -> BM25Index:
        """Index passages.

        Args:
            ids: The id of each passage.
            texts: Its text; None for one without.
            settings: How passages are scored; None takes the defaults.
            tokens: What `tokenize` made of the texts under these settings; None makes it.
            progress: Whether to show progress bars on stderr.

        Raises:
            UsageError: There are not as many ids as texts, two are the same, or there is no such stop list or stemmer.
        """
        import bm25s

        settings = settings or BM25Settings()
        ids = list(ids)
        if len(ids) != len(texts) or len(set(ids)) < len(ids):
            again = next((f", {name!r} twice" for name in ids if ids.count(name) > 1), "")
            raise UsageError(f"expected one id for each text, found {len(ids)} ids and {len(texts)} texts{again}")
        tokens = tokens or tokenize(texts, settings, progress)
        model = bm25s.BM25(k1=settings.k1, b=settings.b, delta=settings.delta, method=settings.variant)
        if any(tokens.ids):
            model.index(tokens, show_progress=progress)
        else:
            model.vocab_dict, model.nonoccurrence_array = {}, None
            nothing = {
                "data": np.zeros(0, np.float32),
                "indices": np.zeros(0, np.int32),
                "indptr": np.zeros(1, np.int64),
            }
            model.scores = {**nothing, "num_docs": 0}
        return cls(ids, model, settings, fingerprint_of(ids, texts))

    def save(self, folder: str | Path) -> None:
        """Write an index directory, whole or not at all.

        Args:
            folder: A folder that is there is replaced.

        Raises:
            SaveError: The disk is full or permission is missing.
        """
        with replace_folder(Path(folder)) as new:
            self._model.save(new, show_progress=False)
            (new / "ids.json").write_text(to_json(self.ids), encoding="utf-8")
            described = {
                "format": "ofakit-index",
                "version": 1,
                "metric": "bm25",
                "count": len(self),
                "fingerprint": self.fingerprint,
                "settings": asdict(self.settings),
                "files": {path.name: _file_record(path) for path in sorted(new.iterdir())},
            }
            (new / "index.json").write_text(to_json(described, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path, *, verify: bool = False) -> BM25Index:
        """Read an index directory; weights stay on disk until they are needed.

        Args:
            folder: What `save` wrote.
            verify: Read all files and compare their checksums, not their sizes alone.

        Raises:
            UsageError: It is not an index of BM25, or a file of it is missing or not the one that was written.
        """
        import bm25s

        folder = Path(folder)
        described = _described(folder, verify)
        ids = read_json_file(folder / "ids.json", "ids of passages")
        model = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        return cls(ids, model, BM25Settings(**described["settings"]), described["fingerprint"])

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, texts: Sequence[str], k: int) -> tuple[list[list[float]], list[list[str]]]:
        """The best passages of each text.

        Args:
            texts: What is asked for.
            k: How many passages of each at most; there are fewer where fewer have a word of the text.

        Returns:
            Scores and ids, a list for each text, best first.

        Raises:
            UsageError: `k` is below 1.
        """
        run = self.run([str(number) for number in range(len(texts))], texts, k)
        return [list(ranking.values()) for ranking in run.values()], [list(ranking) for ranking in run.values()]

    def run(self, queries: Sequence[str], texts: Sequence[str | None], k: int, name: str = "bm25") -> Run:
        """The same as a run.

        Args:
            queries: The id of each query.
            texts: Its text; nothing is found for None.
            k: How many passages of each at most.
            name: What the run is called.

        Raises:
            UsageError: `k` is below 1, or two queries share an id.
        """
        if k < 1:
            raise UsageError(f"expected k of at least 1, found {k}")
        words = self.words_of(texts)
        rows, documents, scores = search_postings(self._postings, words, k)
        absent = self._model.nonoccurrence_array
        if absent is not None:
            scores = scores + np.array([absent[some].sum() for some in words], dtype=np.float32)[rows]
        return Run.from_rows(queries, rows, self.ids, documents, scores, name).cut(k)

    def words_of(self, texts: Sequence[str | None]) -> list[np.ndarray]:
        """The numbers of the words of each text that the index knows.

        Args:
            texts: What is asked for.

        Returns:
            For each text int64, shape (words,).
        """
        return known_words(texts, self._model.vocab_dict, self.settings)

    @cached_property
    def _postings(self) -> Postings:
        scores = self._model.scores
        return Postings(
            np.asarray(scores["data"]), np.asarray(scores["indices"]), np.asarray(scores["indptr"]), len(self)
        )


def fingerprint_of(ids: Iterable[str], texts: Iterable[str | None]) -> str:
    """A number that other ids or texts do not have.

    Args:
        ids: The id of each passage.
        texts: Its text.
    """
    digest = hashlib.sha256()
    for name, text in zip(ids, texts, strict=True):
        for part in (name, text or ""):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _described(folder: Path, verify: bool) -> dict[str, Any]:
    """What `index.json` says of an index directory, after a check that its files are those that were written."""
    settle(folder)
    path = folder / "index.json"
    try:
        described = read_json_file(path, "an index")
    except UsageError as error:
        raise UsageError(f"{folder}: expected an index directory with index.json, found: {error}") from error
    if not isinstance(described, dict) or (described.get("metric"), described.get("version")) != ("bm25", 1):
        raise UsageError(f"{path}: expected an index of BM25 of version 1, found {described!r:.80}")
    for name, expected in described["files"].items():
        file = folder / name
        found = _file_record(file, verify) if file.is_file() else {"bytes": "no file"}
        for key, value in found.items():
            if value != expected[key]:
                raise UsageError(
                    f"{file}: expected {key} {expected[key]}, found {value}. The index is damaged or was only partly "
                    "copied: copy it again, or index the passages again"
                )
    return described


def _file_record(path: Path, whole: bool = True) -> dict[str, Any]:
    """The size of a file and, where it is read as a whole, its checksum."""
    size = {"bytes": path.stat().st_size}
    if not whole:
        return size
    with open(path, "rb") as file:
        return {**size, "sha256": _sha256(file)}


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(2**20):
        digest.update(block)
    return digest.hexdigest()

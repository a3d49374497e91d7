"""Passages found by the words they share with a query: BM25, with the index and the variants of bm25s.

    index = BM25Index.build(ids, texts, BM25Settings(k1=0.9, b=0.4))
    index.save("work_dir/bm25")
    scores, ids = BM25Index.load("work_dir/bm25").search(["a question"], k=100)

Robertson & Zaragoza 2009, https://doi.org/10.1561/1500000019; the variants are those of Kamphuis et al. 2020,
https://doi.org/10.1007/978-3-030-45442-5_4. Words are those of scikit-learn's CountVectorizer, in lower case and two
characters or longer, without stop words, and stemmed if a language is given.

The files of the directory are those that `bm25s.BM25.save` writes, so that bm25s reads them too, beside `ids.json` and
`index.json`. Weights are memory-mapped when they are read. A passage without a word of the query is never returned.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ofakit.errors import UsageError, did_you_mean
from ofakit.files import replace_folder, settle
from ofakit.retrieval.indexes._postings import Postings, search_postings
from ofakit.retrieval.run import Run

if TYPE_CHECKING:
    import bm25s


__all__ = ["BM25Index", "BM25Settings", "Variant", "fingerprint_of", "tokenize"]

Variant = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]


@dataclass(frozen=True)
class BM25Settings:
    """How passages are scored.

    Args:
        k1: How much more a word counts that occurs often in a passage; 0 counts each word once.
        b: How much longer passages are held down, from 0, not at all, to 1.
        delta: What a word adds at least, in the variants bm25l and bm25+.
        variant: Which formula: lucene, robertson, atire, bm25l or bm25+.
        stopwords: Words that do not count: a language that bm25s has a list of, such as "en", a list, or None.
        stemmer: A language of PyStemmer, such as "english", or None.

    Raises:
        UsageError: A number is out of its range, or the variant is none.
    """

    k1: float = 1.5
    b: float = 0.75
    delta: float = 0.5
    variant: Variant = "lucene"
    stopwords: str | list[str] | None = "en"
    stemmer: str | None = None

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise UsageError(
                f"unknown variant of BM25 {self.variant!r}: {did_you_mean(self.variant, get_args(Variant))}"
            )
        if self.k1 < 0 or not 0 <= self.b <= 1 or self.delta < 0:
            raise UsageError(
                f"BM25: expected k1 >= 0, 0 <= b <= 1 and delta >= 0, found {self.k1}, {self.b} and {self.delta}"
            )
        if self.k1 == 0 and self.variant in ("bm25l", "bm25+"):
            raise UsageError(f"BM25: the variant {self.variant} needs k1 above 0, found 0")


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
        if len(ids) != len(texts) or len(set(ids)) < len(ids):
            again = next((f", {name!r} twice" for name in ids if list(ids).count(name) > 1), "")
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
        return cls(list(ids), model, settings, fingerprint_of(ids, texts))

    def save(self, folder: str | Path) -> None:
        """Write an index directory, whole or not at all.

        Args:
            folder: A folder that is there is replaced.

        Raises:
            SaveError: The disk is full or permission is missing.
        """
        with replace_folder(Path(folder)) as new:
            self._model.save(new, show_progress=False)
            (new / "ids.json").write_text(json.dumps(self.ids, ensure_ascii=False), encoding="utf-8")
            described = {
                "engine": "bm25",
                "metric": "bm25",
                "count": len(self),
                "settings": asdict(self.settings),
                "fingerprint": self.fingerprint,
                "sizes": _sizes(new),
            }
            (new / "index.json").write_text(json.dumps(described, indent=2, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> BM25Index:
        """Read an index directory; weights stay on disk until they are needed.

        Args:
            folder: What `save` wrote.

        Raises:
            UsageError: It is no index of BM25, or a file of it is missing or not of the size that was written.
        """
        import bm25s

        folder = Path(folder)
        described = described_index(folder)
        ids = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
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
            raise UsageError(f"expected to search for 1 passage or more, found {k}")
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


def known_words(texts: Sequence[str | None], numbers: dict[str, int], settings: BM25Settings) -> list[np.ndarray]:
    """The numbers of the words of each text.

    Args:
        texts: What is asked for.
        numbers: Of words. The empty word, which bm25s gives to a text without any, is none.
        settings: How texts become words.

    Returns:
        For each text int64, shape (words,).
    """
    split = tokenize(texts, settings, words=True)
    return [np.array([numbers[w] for w in words if w and w in numbers], dtype=np.int64) for words in split]


def tokenize(texts: Sequence[str | None], settings: BM25Settings, progress: bool = False, words: bool = False) -> Any:
    """Cut texts into words.

    Args:
        texts: Texts; None is one without words.
        settings: Stop words and stemmer.
        progress: Whether to show progress bars on stderr.
        words: Give lists of words, and not a `bm25s.tokenization.Tokenized`.

    Raises:
        UsageError: There is no such stop list or stemmer.
    """
    import bm25s

    try:
        return bm25s.tokenize(
            [text or "" for text in texts],
            stopwords=[] if settings.stopwords is None else settings.stopwords,
            stemmer=_stemmer(settings.stemmer),
            return_ids=not words,
            show_progress=progress,
        )
    except ValueError as error:
        raise UsageError(f"BM25: stopwords {settings.stopwords!r}: {error}", "stopwords") from error


def _stemmer(language: str | None) -> Callable[[list[str]], list[str]] | None:
    if language is None:
        return None
    try:
        import Stemmer
    except ImportError as error:
        raise UsageError("BM25: a stemmer needs PyStemmer; pip install PyStemmer", "stemmer") from error
    if language not in Stemmer.algorithms():
        raise UsageError(
            f"BM25: unknown stemmer {language!r}: {did_you_mean(language, Stemmer.algorithms())}", "stemmer"
        )
    return Stemmer.Stemmer(language).stemWords


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


def described_index(folder: Path) -> dict[str, Any]:
    """What `index.json` says of an index directory, after a check that its files are whole.

    Args:
        folder: The directory.

    Raises:
        UsageError: It is no index of BM25, or a file of it is missing or not of the size that was written.
    """
    settle(folder)
    path = folder / "index.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder}: expected an index directory with index.json, found: {error}") from error
    if not isinstance(described, dict) or described.get("engine") != "bm25":
        raise UsageError(f"{path}: expected an index of BM25, found {described!r:.80}")
    found = _sizes(folder)
    for name, size in described["sizes"].items():
        if found.get(name) != size:
            raise UsageError(
                f"{folder / name}: expected {size} bytes, found {found.get(name, 'no file')}; index the passages again"
            )
    return described


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != "index.json"}

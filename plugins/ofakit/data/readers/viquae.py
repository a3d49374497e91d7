"""ViQuAE as it is published on the Hugging Face hub: questions about photographs of named entities, over Wikipedia.

    {"type": "viquae", "root": "viquae", "cache": "work_dir/viquae_cache"}

    viquae/viquae_dataset/train.jsonl  validation.jsonl  test.jsonl      questions
    viquae/viquae_wikipedia/non_humans.jsonl.gz  humans_with_faces.jsonl.gz  humans_without_faces.jsonl.gz
    viquae/viquae_passages/data/train-00000-of-00011.parquet …           "passage": "title [SEP] text", "index"
    viquae/images/512px-Alain_Connes.jpg …                               of questions and of articles

Passages may also be JSON lines, Arrow as `datasets` saves it, or what `ofakit data passages` writes. A passage belongs
to the article of its title, and has the article's image; its id is its row. Passages go by one after the other; of the
articles only titles and image names are kept, 100 MB for all of them.

What is relevant: the passages of the articles that a question was made from (`provenance`) which hold an answer, found
in one pass over the passages. `title2index` and `article2passage`, the maps that meerqat writes, say which passages
these are where titles do not. `cache` keeps both results, which take minutes, for the next run. TriviaQA in KILT's
format is read too:

    {"type": "viquae", "root": "viquae", "questions": "triviaqa_for_viquae", "articles": null,
     "passages": "kilt_passages.jsonl"}

Source: Lerner et al., ViQuAE, SIGIR 2022; https://github.com/PaulLerner/ViQuAE.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ofakit.data.answers import AnswerMatcher
from ofakit.data.json_files import id_in, read_json, require, text_in
from ofakit.data.passage import Passage
from ofakit.data.qrels_files import read_qrels
from ofakit.data.query import Query
from ofakit.data.readers._generated import digest_of
from ofakit.data.readers._kilt import answers_in, provenance_in
from ofakit.data.readers._relevant import report_unanswerable, unique_by_id
from ofakit.data.readers._splits import SplitFiles
from ofakit.data.row_files import iter_rows, row_files
from ofakit.data.text_table import TextTable
from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.json_text import to_json

__all__ = ["Viquae", "row_id"]

SEPARATOR = " [SEP] "
BASES = ("non_humans", "humans_with_faces", "humans_without_faces")
SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet", "")

logger = logging.getLogger(__name__)


class Viquae(SplitFiles):
    """Read ViQuAE's questions, articles and passages.

    Args:
        root: Folder of the data set; the other paths but `cache` are relative to it.
        questions: Folder of the questions.
        train: File of the training questions in it.
        val: File of the validation questions.
        test: File of the test questions.
        passages: File or folder of the passages.
        articles: Folder of the articles; None if they have no images.
        bases: Files of the articles, in order; their extension may be left out.
        images: Folder of the images.
        relevance: `provenance` finds relevant passages as above; `none` leaves that to `qrels` and to what is pooled.
        qrels: Judgements by split, in place of what would be found.
        title2index: Map from titles to rows of articles, as meerqat writes it.
        article2passage: Map from rows of articles to rows of passages.
        strict: Look for answers more strictly than meerqat does; see `ofakit.data.answers`.
        cache: Folder that keeps the images of titles, and what is relevant, between runs.

    Raises:
        UsageError: Only one of the two maps is given.
    """

    noun = "questions"

    def __init__(
        self,
        root: str | Path | None = None,
        questions: str = "viquae_dataset",
        train: str | None = "train.jsonl",
        val: str | None = "validation.jsonl",
        test: str | None = "test.jsonl",
        passages: str = "viquae_passages",
        articles: str | None = "viquae_wikipedia",
        bases: Sequence[str] = BASES,
        images: str = "images",
        relevance: Literal["provenance", "none"] = "provenance",
        qrels: Mapping[str, str] | None = None,
        title2index: str | None = None,
        article2passage: str | None = None,
        strict: bool = False,
        cache: str | None = None,
    ) -> None:
        files = {"train": train, "val": val, "test": test}
        super().__init__(root, {split: file and f"{questions}/{file}" for split, file in files.items()})
        if (title2index is None) != (article2passage is None):
            raise UsageError("'title2index' and 'article2passage' belong together: give both or neither")
        self.passages_path = self.root / passages
        self.articles_folder = None if articles is None else self.root / articles
        self.bases = tuple(bases)
        self.images = self.root / images
        self.by_provenance = relevance == "provenance"
        self.qrels = {split: self.root / file for split, file in (qrels or {}).items()}
        self.maps = None if title2index is None else (self.root / title2index, self.root / str(article2passage))
        self.strict = strict
        self.cache = None if cache is None else Path(cache).expanduser()
        self._relevant: dict[str, dict[str, dict[str, float]]] = {}
        self._reported: set[str] = set()

    def read(self, split: str) -> list[Query]:
        """Read the questions of a split or of slices of splits.

        Args:
            split: Such as `train` or `train[:10%]+val`.

        Returns:
            The questions, each with its answers, the original one first.

        Raises:
            UsageError: The split is unknown, a file is missing, or a row is not what was expected.
        """
        queries = unique_by_id(self.converted(split, self.queries), "questions")
        if split not in self._reported:
            self._reported.add(split)
            report_unanswerable(queries, split, logger)
        return queries

    def rows(self, split: str) -> list[dict[str, Any]]:
        """Every question of a split.

        Args:
            split: The split.
        """
        return [row for _, row in iter_rows(self.files[split], f"{self.noun} of split {split!r}")]

    def queries(self, row: Mapping[str, Any], split: str) -> list[Query]:
        """The one question of a row.

        Args:
            row: A row of the file.
            split: The split it comes from.

        Raises:
            UsageError: A column is missing, or a cell is of the wrong type.
        """
        where = str(self.files[split])
        own = row_id(row, where)
        name = text_in(row.get("image"), "a file name", where)
        text = text_in(require(row, "input", where), "a question", where)
        image = str(self.images / name) if name else None
        return [Query(own, text, image, self._relevant_of(split).get(own, {}), answers_in(row, where))]

    def passages(self, split: str | None = None) -> Iterator[Passage]:
        """Read the passages, one after the other; all splits are asked of the same.

        Args:
            split: Ignored.

        Yields:
            The passages in the order of the files.

        Raises:
            UsageError: A file is missing, or a row is not what was expected.
        """
        images = self._images_of_titles()
        for own, title, text, article in self._texts():
            name = None if title is None else images.get(title)
            yield Passage(own, text, title, str(self.images / name) if name else None, article)

    def passage_files(self, split: str | None = None) -> list[Path]:
        """The files that the passages come from.

        Args:
            split: Ignored.

        Raises:
            UsageError: One is missing.
        """
        articles = [] if self.articles_folder is None else self.article_files()
        return [*row_files(self.passages_path, "passages"), *articles]

    def article_files(self) -> list[Path]:
        """The files of the articles, in order.

        Raises:
            UsageError: One is missing.
        """
        return [file for base in self.bases for file in row_files(self._base(base), f"articles of {base!r}")]

    def _texts(self) -> Iterator[tuple[str, str | None, str, str | None]]:
        """Id, title, text and article of each passage."""
        columns = ("passage", "index", "id", "title", "text", "article")
        for number, (where, row) in enumerate(iter_rows(self.passages_path, "passages", columns)):
            if "passage" in row:
                head, separator, rest = str(row["passage"]).partition(SEPARATOR)
                if separator:
                    yield str(number), head, rest, head
                else:
                    yield str(number), None, head, None if row.get("index") is None else f"#{row['index']}"
            else:
                title = text_in(row.get("title"), "a title", where)
                article = id_in(row.get("article"), where)
                yield row_id(row, where), title, str(require(row, "text", where)), title if article is None else article

    def _images_of_titles(self) -> TextTable:
        """Names of the articles' images."""
        if self.articles_folder is None:
            return TextTable()
        files = self.article_files()
        kept = self._kept("images", files, ".npz")
        if kept is not None and kept.is_file():
            return TextTable.load(kept)
        table = TextTable(_titles_and_images(files))
        if kept is not None:
            table.save(kept)
        return table

    def _base(self, name: str) -> Path:
        """The file of one of the bases."""
        folder = Path(str(self.articles_folder))
        return next((found for suffix in SUFFIXES if (found := folder / f"{name}{suffix}").exists()), folder / name)

    def _relevant_of(self, split: str) -> dict[str, dict[str, float]]:
        """What is relevant to the questions of a split, by question."""
        if split in self.qrels:
            if split not in self._relevant:
                self._relevant[split] = read_qrels(self.qrels[split], f"judgements of split {split!r}")
        elif not self.by_provenance:
            return {}
        elif split not in self._relevant:
            self._relevant |= self._find_relevant([name for name in self.files if name not in self.qrels])
        return self._relevant[split]

    def _find_relevant(self, splits: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
        """What is relevant to the questions of splits, in one pass over the passages."""
        files = [*row_files(self.passages_path, "passages"), *(self.files[split] for split in splits)]
        kept = self._kept("relevance", [*files, *(self.maps or ())], ".json")
        if kept is not None and kept.is_file():
            return read_json(kept, "relevant passages")
        found: dict[str, dict[str, dict[str, float]]] = {split: {} for split in splits}
        asked: dict[str, list[tuple[dict[str, float], AnswerMatcher]]] = {}
        titles_of = self._articles_of_passages()
        for split in splits:
            for row in self.rows(split):
                where = str(self.files[split])
                gains = found[split].setdefault(row_id(row, where), {})
                matches = AnswerMatcher(answers_in(row, where), self.strict)
                for title in provenance_in(row):
                    asked.setdefault(title, []).append((gains, matches))
        for own, head, text, _ in self._texts():
            titles = ([] if head is None else [head]) if titles_of is None else titles_of.get(own, [])
            for gains, matches in (pair for title in titles for pair in asked.get(title, ())):
                if matches(text if head is None else f"{head}{SEPARATOR}{text}"):
                    gains[own] = 1.0
        if kept is not None:
            write_text(kept, to_json(found))
        return found

    def _articles_of_passages(self) -> dict[str, list[str]] | None:
        """Titles of each passage that a question may be about, by the maps; None if there are none."""
        if self.maps is None:
            return None
        indexes, passages = (read_json(path, "a map") for path in self.maps)
        wanted = {title for split in self.files for row in self.rows(split) for title in provenance_in(row)}
        titles: dict[str, list[str]] = {}
        for title in sorted(wanted & indexes.keys()):
            for passage in passages.get(str(indexes[title])) or ():
                titles.setdefault(str(passage), []).append(title)
        return titles

    def _kept(self, what: str, files: Sequence[Path], suffix: str) -> Path | None:
        """Where the cache keeps what was made from files; None without a cache."""
        if self.cache is None:
            return None
        sources = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        return self.cache / f"{what}-{digest_of({'files': sources, 'strict': self.strict})}{suffix}"


def _titles_and_images(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for file in files:
        for where, row in iter_rows(file, "articles", ("wikipedia_title", "image")):
            name = text_in(row.get("image"), "a file name", where)
            if name:
                yield str(require(row, "wikipedia_title", where)), name


def row_id(row: Mapping[str, Any], where: str) -> str:
    """The id of a question or passage.

    Args:
        row: A row of a file.
        where: The file, for the message.

    Raises:
        UsageError: There is none.
    """
    own = id_in(require(row, "id", where), where)
    if own is None:
        raise UsageError(f"expected an id in {where}, found null")
    return own

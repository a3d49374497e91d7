"""A knowledge base and the questions asked of it, in JSON lines.

    {"type": "knowledge_base", "root": "flag_kb", "passages": "passages.jsonl", "articles": "entities.jsonl",
     "train": "questions_train.jsonl", "val": "questions_val.jsonl", "test": "questions_test.jsonl"}

    passages   {"id": "DZ-00", "entity": "DZ", "title": "Algeria", "text": "…"}       and perhaps "image"
    articles   {"id": "DZ", "name": "Algeria", "image": "images/kb/DZ.jpg"}           what passages of it share
    questions  {"id": "q1", "question": "…", "image": "…", "relevant_passages": ["DZ-00"], "answer": "…"}

Each field is in the first of its usual columns that a row has; `passage_columns`, `article_columns` and
`query_columns` name others, such as {"text": "body"}, and null leaves a field out. What is relevant is said by a column
of ids, or of gains by id, or by files of judgements:

    {"type": "knowledge_base", "root": "cranfield", "passages": "corpus.jsonl", "test": "queries_test.jsonl",
     "qrels": {"test": "qrels_test.trec"}}

BEIR has the questions of all splits in one file; those of a split are the ones that its judgements name:

    {"type": "knowledge_base", "root": "scifact", "passages": "corpus.jsonl", "queries": "queries.jsonl",
     "qrels": {"train": "qrels/train.tsv", "test": "qrels/test.tsv"}}

FVQA has official folds; fold 0 asks the questions whose column `test_in_folds` holds a 0, and trains on the others:

    {"type": "knowledge_base", "root": "fvqa_text", "passages": "facts.jsonl", "queries": "questions.jsonl", "fold": 0,
     "query_columns": {"relevant": "fact", "image": null}}
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ofakit.data.columns import Columns
from ofakit.data.json_files import id_in, text_in
from ofakit.data.passage import Passage
from ofakit.data.qrels_files import read_qrels
from ofakit.data.query import Query
from ofakit.data.readers._relevant import gains_in, report_unanswerable, texts_in, unique_by_id
from ofakit.data.readers._splits import SplitFiles
from ofakit.data.row_files import iter_rows, row_files
from ofakit.errors import UsageError, did_you_mean

__all__ = ["KnowledgeBaseReader"]

PASSAGE_COLUMNS = {
    "id": ("id", "_id"),
    "text": ("text",),
    "title": ("title", "name"),
    "image": ("image",),
    "article": ("article", "entity"),
}
ARTICLE_COLUMNS = {"id": ("id", "_id"), "title": ("title", "name"), "image": ("image",)}
QUERY_COLUMNS = {
    "id": ("id", "_id"),
    "text": ("question", "text", "query"),
    "image": ("image",),
    "relevant": ("relevant_passages", "relevant"),
    "answers": ("answers", "answer"),
}

logger = logging.getLogger(__name__)


class Article(NamedTuple):
    """What the passages of an article share."""

    title: str | None
    image: str | None


class KnowledgeBaseReader(SplitFiles):
    """Read passages, and questions with what is relevant to them.

    Args:
        passages: JSON lines of the passages, packed or not, or Parquet or Arrow, or a folder of such files.
        root: Folder of the data set; the other paths are relative to it.
        articles: File of what the passages of an article share, its title and image; None if there is none.
        train: Questions of the training split.
        val: Questions of the validation split.
        test: Questions of the test split.
        splits: Questions of further splits by name.
        queries: Questions of all splits in one file, in place of the files above; `qrels` or `fold` tells them apart.
        qrels: Judgements by split, in TREC's or BEIR's format; they replace the column of relevant passages.
        images: Folder of the images.
        fold: Ask the questions of this official fold, and train on the others.
        fold_column: Lists the folds in which a question belongs to the test split.
        passage_columns: Columns of `id`, `text`, `title`, `image` and `article` where they have other names.
        article_columns: Columns of `id`, `title` and `image`.
        query_columns: Columns of `id`, `text`, `image`, `relevant` and `answers`.

    Raises:
        UsageError: A field is unknown, `queries` stands without what tells its splits apart or beside other files, or
            `qrels` names a split without questions.
    """

    noun = "questions"

    def __init__(
        self,
        passages: str,
        root: str | Path | None = None,
        articles: str | None = None,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        splits: Mapping[str, str] | None = None,
        queries: str | None = None,
        qrels: Mapping[str, str] | None = None,
        images: str = ".",
        fold: int | None = None,
        fold_column: str = "test_in_folds",
        passage_columns: Mapping[str, str | None] | None = None,
        article_columns: Mapping[str, str | None] | None = None,
        query_columns: Mapping[str, str | None] | None = None,
    ) -> None:
        files = {"train": train, "val": val, "test": test, **(splits or {})}
        self.qrels_files = dict(qrels or {})
        if queries is not None:
            files = _files_of_all(queries, files, ("train", "test") if fold is not None else tuple(self.qrels_files))
        super().__init__(root, files)
        for split in self.qrels_files:
            if split not in self.files:
                raise UsageError(f"'qrels' names the split {split!r}: {did_you_mean(split, self.files)}", "qrels")
        self.in_one_file = queries is not None
        self.passages_file = self.root / passages
        self.articles_file = None if articles is None else self.root / articles
        self.images = self.root / images
        self.fold, self.fold_column = fold, fold_column
        self.passage_columns = Columns(PASSAGE_COLUMNS, passage_columns, "passage_columns")
        self.article_columns = Columns(ARTICLE_COLUMNS, article_columns, "article_columns")
        self.query_columns = Columns(QUERY_COLUMNS, query_columns, "query_columns")
        self._judgements: dict[str, dict[str, dict[str, float]]] = {}
        self._reported: set[tuple[str, str]] = set()

    def read(self, split: str) -> list[Query]:
        """Read the questions of a split or of slices of splits.

        A question without a relevant passage is kept and counted in one warning.

        Args:
            split: Such as `train` or `train[:10%]+val`; slices count the questions of the split.

        Returns:
            The questions in the order of the files.

        Raises:
            UsageError: The split is unknown, a file is missing, a row is not what was expected, two questions share an
                id, or the judgements fit none of the questions.
        """
        queries = unique_by_id(self.converted(split, self.queries), "questions")
        self.query_columns.refuse_missing(f"the questions of split {split!r}")
        if (split, "unanswerable") not in self._reported:
            self._reported.add((split, "unanswerable"))
            report_unanswerable(queries, split, logger)
        return queries

    def rows(self, split: str) -> list[dict[str, Any]]:
        """The questions of a split as they stand in its file.

        Args:
            split: The split.

        Raises:
            UsageError: A file is missing, or the judgements fit none of the questions.
        """
        rows = super().rows(split)
        if self.fold is not None and split in ("train", "test"):
            rows = [row for row in rows if (self.fold in _folds(row, self.fold_column)) == (split == "test")]
        judged = self._judged(split)
        if judged is None:
            return rows
        ids = [self._id(row, str(self.files[split])) for row in rows]
        self._look_for_unknown(split, judged, set(ids))
        return [row for row, own in zip(rows, ids, strict=True) if own in judged or not self.in_one_file]

    def queries(self, row: Mapping[str, Any], split: str) -> list[Query]:
        """The one question of a row.

        Args:
            row: A row of the file.
            split: The split it comes from.

        Raises:
            UsageError: A column is missing, or a cell is of the wrong type.
        """
        where, columns = str(self.files[split]), self.query_columns
        own, (image, *others) = self._id(row, where), self._images(row, columns, where)
        text = text_in(columns.get(row, "text"), "a question", where)
        if text is None and image is None:
            columns.require(row, "text", where)
        judged = self._judged(split)
        named = columns.get(row, "relevant")
        relevant = gains_in(named, f"{where}, question {own!r}") if judged is None else judged.get(own, {})
        answers = texts_in(columns.get(row, "answers"), "answers", f"{where}, question {own!r}")
        return [Query(own, text, image, relevant, answers, tuple(others))]

    def passages(self, split: str | None = None) -> Iterator[Passage]:
        """Read the passages, one after the other; all splits are asked of the same.

        Args:
            split: Ignored.

        Yields:
            The passages in the order of the file.

        Raises:
            UsageError: A file is missing, or a row is not what was expected. That no two passages share an id is seen
                to by the base that takes them.
        """
        articles = self._articles()
        columns = self.passage_columns
        for place, row in iter_rows(self.passages_file, "passages"):
            yield self._passage(_required_id(row, columns, place), row, articles, place)
        columns.refuse_missing(str(self.passages_file))

    def passage_files(self, split: str | None = None) -> list[Path]:
        """The files that the passages come from.

        Args:
            split: Ignored.

        Raises:
            UsageError: One is missing.
        """
        articles = [] if self.articles_file is None else row_files(self.articles_file, "articles")
        return [*row_files(self.passages_file, "passages"), *articles]

    def _passage(self, own: str, row: Mapping[str, Any], articles: Mapping[str, Article], place: str) -> Passage:
        columns = self.passage_columns
        article = id_in(columns.get(row, "article"), place)
        shared = articles.get(own if article is None else article, Article(None, None))
        if article is not None and articles and article not in articles:
            raise UsageError(f"{place}: no article {article!r} among the {len(articles)} of {self.articles_file}")
        text, image = text_in(columns.get(row, "text"), "a text", place), self._image(row, columns, place)
        if text is None and image is None and shared.image is None:
            columns.require(row, "text", place)
        title = text_in(columns.get(row, "title"), "a title", place)
        return Passage(own, text, title or shared.title, image or shared.image, article)

    def _articles(self) -> dict[str, Article]:
        """Title and image of each article, by id."""
        if self.articles_file is None:
            return {}
        columns, found, seen = self.article_columns, dict[str, Article](), dict[str, int]()
        for number, (place, row) in enumerate(iter_rows(self.articles_file, "articles"), start=1):
            own = _required_id(row, columns, place)
            if seen.setdefault(own, number) != number:
                raise UsageError(f"two articles have the id {own!r}: numbers {seen[own]} and {number} in {place}")
            found[own] = Article(text_in(columns.get(row, "title"), "a title", place), self._image(row, columns, place))
        columns.refuse_missing(str(self.articles_file))
        return found

    def _judged(self, split: str) -> dict[str, dict[str, float]] | None:
        """The judgements of a split; None if it has no file of them."""
        if split not in self.qrels_files:
            return None
        if split not in self._judgements:
            file = self.root / self.qrels_files[split]
            self._judgements[split] = read_qrels(file, f"judgements of split {split!r}")
        return self._judgements[split]

    def _look_for_unknown(self, split: str, judged: Mapping[str, Any], ids: set[str]) -> None:
        """Warn of judgements for questions that there are none of; refuse them if they fit no question at all."""
        unknown = [query for query in judged if query not in ids]
        if not unknown:
            return
        found = f"{self.root / self.qrels_files[split]} judges {len(unknown)} queries that are not in"
        message = f"{found} {self.files[split]}, such as {', '.join(map(repr, unknown[:3]))}"
        if len(unknown) == len(judged):
            raise UsageError(f"{message}, but none of its {len(ids)} questions, such as {min(ids, default=None)!r}")
        if (split, "unknown") not in self._reported:
            self._reported.add((split, "unknown"))
            logger.warning(f"{message}; they are left out")

    def _images(self, row: Mapping[str, Any], columns: Columns, where: str) -> list[Any]:
        """The images of a question, the first of which may be None."""
        named = columns.get(row, "image")
        if not isinstance(named, list):
            return [self._image(row, columns, where)]
        if not all(isinstance(name, str) and name for name in named):
            raise UsageError(f"expected file names in the list of images in {where}, found {named!r:.60}")
        return [str(self.images / name) for name in named] or [None]

    def _image(self, row: Mapping[str, Any], columns: Columns, where: str) -> str | None:
        name = text_in(columns.get(row, "image"), "a file name", where)
        return str(self.images / name) if name else None

    def _id(self, row: Mapping[str, Any], where: str) -> str:
        return _required_id(row, self.query_columns, where)


def _files_of_all(queries: str, files: Mapping[str, str | None], splits: Sequence[str]) -> dict[str, str | None]:
    """One file for every split."""
    if any(files.values()):
        raise UsageError("'queries' is one file for all splits: leave out train, val, test and splits", "queries")
    if not splits:
        raise UsageError("'queries' needs 'qrels' or 'fold' to tell the questions of the splits apart", "queries")
    return dict.fromkeys(splits, queries)


def _required_id(row: Mapping[str, Any], columns: Columns, where: str) -> str:
    return str(id_in(columns.require(row, "id", where), where))


def _folds(row: Mapping[str, Any], column: str) -> Iterable[Any]:
    """The folds in which a question is asked."""
    folds = row.get(column)
    if not isinstance(folds, list):
        raise UsageError(f"expected a list of folds in the column {column!r} of every question, found {folds!r:.60}")
    return folds

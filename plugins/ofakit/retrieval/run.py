"""Rankings: the passages that a system found for each query, best first; read and written as TREC runs.

    run = Run({"q1": {"p7": 12.5, "p3": 11.0}}, name="bm25")
    run["q1"]                       {"p7": 12.5, "p3": 11.0}
    run.cut(10).write("bm25.trec")

The higher a score the better; passages with equal scores stand in the order of their ids. A TREC run has six columns,
`query Q0 passage rank score tag` (https://trec.nist.gov/data/robust/04.guidelines.html); as in trec_eval the scores say
the order, not the ranks. A query for which nothing was found has no line, and so is not in the run that is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.retrieval._trec import check_ids, finite_numbers, read_rows, refuse_repeated

__all__ = ["Run", "import_ranx"]


class _RepeatedError(UsageError):
    """A passage stands in a ranking twice."""


class Run(Mapping[str, dict[str, float]]):
    """Rankings by query: `run[query]` gives the score of each passage, best first.

    Args:
        rankings: For each query the score by passage id, in any order.
        name: What the system is called in tables and files.

    Raises:
        UsageError: A score is not finite.

    Attributes:
        name: What the system is called.
        queries: The ids of the queries.
        passages: The ids of passages, each once; there may be more than are in a ranking.
        bounds: Int64, shape (queries + 1,): rows `bounds[i]:bounds[i + 1]` are the ranking of query i.
        places: Int64, shape (rows,): where in `passages` the passage of each row is.
        scores: Float64, shape (rows,).

    >>> run = Run({"q": {"b": 1.0, "c": 2.0, "a": 1.0}})
    >>> run["q"], run.cut(2).ranking("q")
    ({'c': 2.0, 'a': 1.0, 'b': 1.0}, ['c', 'a'])
    """

    def __init__(self, rankings: Mapping[str, Mapping[str, float]], name: str = "run") -> None:
        found = rankings.values()
        rows = np.repeat(np.arange(len(rankings)), np.fromiter(map(len, found), np.int64, len(rankings)))
        scores = np.fromiter(chain.from_iterable(one.values() for one in found), np.float64, len(rows))
        self._arrange(list(rankings), rows, *_encoded(list(chain.from_iterable(found))), scores, name)

    @classmethod
    def from_rows(
        cls,
        queries: Sequence[str],
        rows: np.ndarray,
        passages: Sequence[str],
        places: np.ndarray,
        scores: np.ndarray,
        name: str = "run",
    ) -> Run:
        """A run from rows in any order.

        Args:
            queries: The ids of the queries.
            rows: Int, shape (rows,): which of `queries` each row belongs to.
            passages: Ids, each once, such as those of a whole base.
            places: Int, shape (rows,): which of `passages` each row is about.
            scores: Shape (rows,).
            name: What the system is called.

        Raises:
            UsageError: A query or a passage of a query comes twice, or a score is not finite.

        >>> Run.from_rows(["q"], np.array([0, 0]), ["a", "b"], np.array([0, 1]), np.array([0.5, 0.7]))["q"]
        {'b': 0.7, 'a': 0.5}
        """
        run = cls.__new__(cls)
        run._arrange(list(queries), rows, passages, places, np.asarray(scores, dtype=np.float64), name)
        return run

    @classmethod
    def from_arrays(
        cls,
        queries: Sequence[str],
        passages: Sequence[Sequence[str]] | np.ndarray,
        scores: Sequence[Sequence[float]] | np.ndarray,
        name: str = "run",
    ) -> Run:
        """A run from what an index gives.

        Args:
            queries: The id of each row.
            passages: Ids, a row for each query; rows may differ in length.
            scores: Of the same shape.
            name: What the system is called.

        Raises:
            UsageError: The shapes do not fit, a query or a passage of a query comes twice, or a score is not finite.

        >>> Run.from_arrays(["q1", "q2"], [["a", "b"], ["b"]], [[0.5, 0.7], [0.1]])["q1"]
        {'b': 0.7, 'a': 0.5}
        """
        lengths = [len(row) for row in passages]
        if not len(queries) == len(passages) == len(scores) or lengths != [len(row) for row in scores]:
            raise UsageError(
                f"expected rows of passages and scores of equal length, one for each of {len(queries)} queries; found "
                f"{len(passages)} with {sum(lengths)} passages and {len(scores)} with {sum(map(len, scores))} scores"
            )
        rows = np.repeat(np.arange(len(queries)), np.array(lengths, dtype=np.int64))
        values = np.fromiter(chain.from_iterable(scores), np.float64, len(rows))
        return cls.from_rows(queries, rows, *_encoded(list(chain.from_iterable(passages))), values, name)

    @classmethod
    def read(cls, path: str | Path, name: str | None = None) -> Run:
        """Read a TREC run.

        Args:
            path: The file.
            name: What the system is called; None takes the tag of the first line.

        Raises:
            UsageError: The file cannot be read, a line has other than six columns or a score that is not a finite
                number, or a query has a passage twice; the message names the lines.
        """
        found = read_rows(path, "query Q0 passage rank score tag")
        queries, _, passages, _, _, tags = found.columns
        scores = finite_numbers(found, 4, "score")
        row_of = {query: row for row, query in enumerate(dict.fromkeys(queries))}
        rows = np.fromiter(map(row_of.__getitem__, queries), np.int64, len(queries))
        try:
            return cls.from_rows(list(row_of), rows, *_encoded(passages), scores, name or next(iter(tags), "run"))
        except _RepeatedError:
            refuse_repeated(found)

    def write(self, path: str | Path) -> None:
        """Write a TREC run, whole or not at all.

        Args:
            path: The file; its folder is created where it is missing.

        Raises:
            UsageError: An id is empty or has white space in it, which the format cannot hold.
            SaveError: The disk is full or permission is missing.
        """
        check_ids(path, self.queries, (self.passages[place] for place in np.unique(self.places).tolist()))
        tag = "_".join(self.name.split()) or "run"
        lines = [
            f"{query} Q0 {passage} {rank} {score!r} {tag}\n"
            for query in self.queries
            for rank, (passage, score) in enumerate(self[query].items(), start=1)
        ]
        write_text(Path(path), "".join(lines))

    def __getitem__(self, query: str) -> dict[str, float]:
        rows = self._rows[query]
        return dict(zip(self._names(rows), self.scores[rows].tolist(), strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self.queries)

    def __len__(self) -> int:
        return len(self.queries)

    def __contains__(self, query: object) -> bool:
        return query in self._rows

    def __repr__(self) -> str:
        return f"Run({self.name!r}: {len(self)} queries, {len(self.scores)} passages in their rankings)"

    def ranking(self, query: str) -> list[str]:
        """The ids of the passages of a query, best first; none where the run does not have the query.

        Args:
            query: Its id.
        """
        return self._names(self._rows.get(query, slice(0)))

    def cut(self, k: int) -> Run:
        """The first passages of each ranking.

        Args:
            k: How many at most, from 1 up.

        Raises:
            UsageError: `k` is below 1.
        """
        if k < 1:
            raise UsageError(f"expected to keep at least 1 passage per ranking, found {k}")
        lengths = np.diff(self.bounds)
        kept = np.arange(len(self.scores)) - np.repeat(self.bounds[:-1], lengths) < k
        short = copy(self)
        short.__dict__.pop("_rows", None)
        short.places, short.scores = self.places[kept], self.scores[kept]
        short.bounds = np.concatenate(([0], np.cumsum(np.minimum(lengths, k))))
        return short

    def to_ranx(self) -> Any:
        """The same as a `ranx.Run`; queries without a passage are left out, as in a file.

        Raises:
            UsageError: ranx is not installed.
        """
        return import_ranx().Run({query: ranking for query, ranking in self.items() if ranking}, name=self.name)

    @cached_property
    def _rows(self) -> dict[str, slice]:
        bounds = self.bounds.tolist()
        return {query: slice(*bounds[row : row + 2]) for row, query in enumerate(self.queries)}

    def _names(self, rows: slice) -> list[str]:
        return [self.passages[place] for place in self.places[rows].tolist()]

    def _arrange(
        self,
        queries: list[str],
        rows: np.ndarray,
        passages: Sequence[str],
        places: np.ndarray,
        scores: np.ndarray,
        name: str,
    ) -> None:
        """Check rows, and keep them query by query and best first."""
        if len(set(queries)) < len(queries):
            again = next(query for query in queries if queries.count(query) > 1)
            raise UsageError(f"query {again!r} has two rankings; merge them")
        for row in np.flatnonzero(~np.isfinite(scores))[:1]:
            query, passage = queries[rows[row]], passages[places[row]]
            raise UsageError(f"query {query!r}, passage {passage!r}: expected a finite score, found {scores[row]}")
        order = _order(rows, scores, places, passages)
        self.name, self.queries, self.passages = name, tuple(queries), passages
        self.places, self.scores = places[order], scores[order]
        self.bounds = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(queries)))))
        pairs = np.sort(rows * len(passages) + places)
        for pair in pairs[:-1][pairs[1:] == pairs[:-1]][:1].tolist():
            row, place = divmod(pair, len(passages))
            raise _RepeatedError(f"query {queries[row]!r} has passage {passages[place]!r} twice; keep one")


def _encoded(passages: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The ids, each once, and where in that list each of the given ones is."""
    place_of: dict[str, int] = {}
    places = [place_of.setdefault(passage, len(place_of)) for passage in passages]
    return list(place_of), np.array(places, dtype=np.int64)


def _order(rows: np.ndarray, scores: np.ndarray, places: np.ndarray, passages: Sequence[str]) -> np.ndarray:
    """Query by query, the highest score first, equal ones by id."""
    sorted_already = ((np.diff(rows) > 0) | (np.diff(rows) == 0) & (np.diff(scores) <= 0)).all()
    order = np.arange(len(rows)) if sorted_already else np.lexsort((-scores, rows))
    same = (np.diff(rows[order]) == 0) & (np.diff(scores[order]) == 0)
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    if len(tied):
        group = np.cumsum(~np.append(False, same))[tied]
        names = [passages[place] for place in places[order[tied]].tolist()]
        order[tied] = order[tied[sorted(range(len(tied)), key=lambda row: (group[row], names[row]))]]
    return order


def import_ranx() -> Any:
    """The package ranx, to which runs and qrels can be given.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import ranx
    except ImportError as error:
        raise UsageError('ranx is not installed; pip install "ofakit[ranx]"') from error
    return ranx

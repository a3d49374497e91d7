"""Which passages are relevant to which query; read and written as TREC qrels.

    qrels = Qrels.of(queries)                       from what the queries themselves say
    qrels = Qrels.read("qrels_test.trec")           query 0 passage gain
    pooled = qrels.pooled([bm25, dense], relevance)

There are two modes. `provenance`: the qrels name every relevant passage, as far as anyone knows. `pooled`: they were
grown by what some runs retrieved, as ViQuAE's are by every retrieved passage that has the answer in it. How many
relevant passages there are is then an artefact of the runs, so that no score which divides by it (MAP, recall) means
anything, and runs are only comparable on the union of what all of them retrieved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ofakit.data.qrels_files import NOTHING_JUDGED, read_qrels
from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.retrieval._trec import check_ids
from ofakit.retrieval.run import Run, import_ranx

if TYPE_CHECKING:
    from ofakit.data import Query

__all__ = ["Mode", "Qrels"]

Mode = Literal["provenance", "pooled"]


class Qrels(Mapping[str, Mapping[str, float]]):
    """Gains by query and passage. A gain above 0 is relevant, one of 0 or less was judged irrelevant.

    Args:
        gains: For each query the gain by passage id; empty where nothing is known.
        mode: How the relevant passages were found: `provenance` or `pooled`.

    Raises:
        UsageError: A gain is not finite, or the mode is none.

    >>> qrels = Qrels({"q1": {"a": 1, "b": 0}, "q2": {}})
    >>> qrels.relevant("q1"), qrels.without_relevant
    (['a'], ['q2'])
    """

    def __init__(self, gains: Mapping[str, Mapping[str, float]], mode: Mode = "provenance") -> None:
        if mode not in ("provenance", "pooled"):
            raise UsageError(f"expected the mode of qrels to be 'provenance' or 'pooled', found {mode!r}")
        self.mode: Mode = mode
        self._gains = {query: {p: float(gain) for p, gain in known.items()} for query, known in gains.items()}
        for query, known in self._gains.items():
            for passage, gain in known.items():
                if not math.isfinite(gain):
                    raise UsageError(f"query {query!r}, passage {passage!r}: expected a finite gain, found {gain}")

    @classmethod
    def of(cls, queries: Iterable[Query]) -> Qrels:
        """The relevant passages that queries name.

        Args:
            queries: Those of a split, also the ones without a relevant passage.

        Raises:
            UsageError: Two queries share an id.
        """
        gains: dict[str, Mapping[str, float]] = {}
        for number, query in enumerate(queries, start=1):
            if query.id in gains:
                first = list(gains).index(query.id) + 1
                raise UsageError(f"queries {first} and {number} share the id {query.id!r}")
            gains[query.id] = query.relevant
        return cls(gains)

    @classmethod
    def read(cls, path: str | Path, mode: Mode = "provenance") -> Qrels:
        """Read TREC qrels, `query 0 passage gain`, or BEIR's; gains may have decimals.

        Args:
            path: The file.
            mode: How the relevant passages were found.

        Raises:
            UsageError: The file cannot be read, a line has other columns or a gain that is not a finite number, or a
                query has a passage twice; the message names the lines.
        """
        return cls(read_qrels(Path(path)), mode)

    def write(self, path: str | Path) -> None:
        """Write TREC qrels, whole or not at all. A query without any judged passage gets the passage `-` with gain 0.

        Args:
            path: The file; its folder is created where it is missing.

        Raises:
            UsageError: An id is empty or has white space in it, which the format cannot hold.
            SaveError: The disk is full or permission is missing.
        """
        check_ids(path, self, *self.values())
        lines = [
            f"{query} 0 {passage} {int(gain) if gain.is_integer() else gain!r}\n"
            for query, known in self.items()
            for passage, gain in (known or {NOTHING_JUDGED: 0.0}).items()
        ]
        write_text(Path(path), "".join(lines))

    def __getitem__(self, query: str) -> Mapping[str, float]:
        return self._gains[query]

    def __iter__(self) -> Iterator[str]:
        return iter(self._gains)

    def __len__(self) -> int:
        return len(self._gains)

    def __repr__(self) -> str:
        return f"Qrels({len(self)} queries, {sum(map(len, self.values()))} gains, {self.mode})"

    def relevant(self, query: str) -> list[str]:
        """The passages with a gain above 0; none where the qrels do not have the query.

        Args:
            query: Its id.
        """
        return [passage for passage, gain in self._gains.get(query, {}).items() if gain > 0]

    @property
    def without_relevant(self) -> list[str]:
        """The queries that no passage is known to answer."""
        return [query for query, known in self.items() if not any(gain > 0 for gain in known.values())]

    def pooled(self, runs: Iterable[Run], relevance: Callable[[str, str], float]) -> Qrels:
        """These qrels, grown by what runs retrieved.

        Args:
            runs: All the runs that are to be compared; queries that these qrels lack are passed over.
            relevance: Query id, passage id → gain. Asked once for every retrieved passage that was not judged before.

        Returns:
            Qrels of the mode `pooled`, with the retrieved passages whose gain is above 0.

        >>> run = Run({"q": {"a": 2.0, "b": 1.0}})
        >>> dict(Qrels({"q": {"a": 1}}).pooled([run], lambda query, passage: float(passage == "b")))
        {'q': {'a': 1.0, 'b': 1.0}}
        """
        retrieved: dict[str, dict[str, None]] = {query: {} for query in self}
        for run in runs:
            for query in run:
                if query in retrieved:
                    retrieved[query].update(dict.fromkeys(run.ranking(query)))
        gains = {}
        for query, known in self.items():
            asked = {passage: relevance(query, passage) for passage in retrieved[query] if passage not in known}
            gains[query] = {**known, **{passage: gain for passage, gain in asked.items() if gain > 0}}
        return Qrels(gains, "pooled")

    def union(self, *others: Qrels) -> Qrels:
        """All that is known in several qrels, as when each was pooled from a run of its own.

        Args:
            *others: The other qrels. The highest gain of a passage counts.

        Returns:
            Qrels of the mode `pooled` if one of them is.
        """
        gains: dict[str, dict[str, float]] = {}
        for qrels in (self, *others):
            for query, known in qrels.items():
                joined = gains.setdefault(query, {})
                for passage, gain in known.items():
                    joined[passage] = max(gain, joined.get(passage, gain))
        pooled = any(qrels.mode == "pooled" for qrels in (self, *others))
        return Qrels(gains, "pooled" if pooled else "provenance")

    def to_ranx(self) -> Any:
        """The same as a `ranx.Qrels`; queries without a judged passage have one with gain 0, as in a file.

        Raises:
            UsageError: ranx is not installed, or a gain is not a whole number, which ranx's qrels cannot hold.
        """
        gains = {query: known or {NOTHING_JUDGED: 0.0} for query, known in self.items()}
        for query, known in gains.items():
            for passage, gain in known.items():
                if not gain.is_integer():
                    raise UsageError(f"query {query!r}, passage {passage!r}: ranx takes whole gains only, found {gain}")
        return import_ranx().Qrels({q: {p: int(gain) for p, gain in known.items()} for q, known in gains.items()})

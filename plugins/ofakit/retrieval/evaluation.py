"""How good a run is: scores of its rankings against qrels, per query and on average.

    evaluate(run, qrels, ["mrr@100", "p@1"])        {"mrr@100": 0.43, "p@1": 0.32}
    score_run(run, qrels, ["mrr@100"]).measures()   for bootstrap_intervals and paired_tests of ofakit.scores

Means are over the queries of the qrels. A query for which the run has no ranking, and one that no passage is known to
answer, counts 0; `RunScores.remarks` says how many there are. A run with queries that the qrels lack is refused, unless
they are to be left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ofakit.errors import UsageError
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.scores.ranking import judge, parse_score, ranking_scores
from ofakit.scores.score import Measure, mean_of

__all__ = ["RunScores", "check_judged", "check_metrics", "check_same_queries", "evaluate", "score_run"]

_SHOWN = 3


class RunScores(NamedTuple):
    """The scores of a run.

    Attributes:
        queries: The queries of the qrels.
        per_query: By name of the score: float64, shape (queries,).
        without_ranking: The queries that the run does not rank a passage for; they count 0.
        without_relevant: The queries that no passage is known to answer; they count 0.
        left_out: The queries of the run that the qrels lack; they do not count.
    """

    queries: tuple[str, ...]
    per_query: Mapping[str, np.ndarray]
    without_ranking: tuple[str, ...]
    without_relevant: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def means(self) -> dict[str, float]:
        """The mean of each score."""
        return {name: float(values.mean()) for name, values in self.per_query.items()}

    def measures(self) -> dict[str, Measure]:
        """The scores in the form that intervals and tests are computed of."""
        return {name: mean_of(values) for name, values in self.per_query.items()}

    def remarks(self) -> list[str]:
        """What a reader of the scores has to know, a line each; empty where every query has its ranking."""
        found = {
            "queries without a relevant passage, which score 0": self.without_relevant,
            "queries without a passage in the run, which score 0": self.without_ranking,
            "queries missing from the qrels, which are left out": self.left_out,
        }
        return [f"{what}: {len(queries)} ({_some(queries)})" for what, queries in found.items() if queries]


def evaluate(
    run: Run, qrels: Qrels, metrics: Sequence[str], unjudged: Literal["refuse", "leave_out"] = "refuse"
) -> dict[str, float]:
    """The mean scores of a run.

    Args:
        run: The rankings.
        qrels: The relevant passages.
        metrics: Names of `ofakit.scores.ranking`, such as `mrr@100`.
        unjudged: What to do about queries of the run that the qrels lack.

    Returns:
        By name as it was asked for.

    Raises:
        UsageError: As `score_run`.

    >>> evaluate(Run({"q1": {"a": 2.0, "b": 1.0}}), Qrels({"q1": {"b": 1}, "q2": {"c": 1}}), ["mrr", "hit@2"])
    {'mrr': 0.25, 'hit@2': 0.5}
    """
    return score_run(run, qrels, metrics, unjudged).means


def score_run(
    run: Run, qrels: Qrels, metrics: Sequence[str], unjudged: Literal["refuse", "leave_out"] = "refuse"
) -> RunScores:
    """The scores of a run, query by query.

    Args:
        run: The rankings.
        qrels: The relevant passages.
        metrics: Names of `ofakit.scores.ranking`.
        unjudged: What to do about queries of the run that the qrels lack.

    Raises:
        UsageError: There is no such score, it needs all relevant passages and the qrels are pooled, or run and qrels do
            not have the same queries.
    """
    check_metrics(metrics, qrels)
    left_out = check_judged(run.queries, qrels, f"run {run.name!r}", unjudged)
    rankings = [run.ranking(query) for query in qrels]
    return RunScores(
        tuple(qrels),
        ranking_scores(judge(rankings, list(qrels.values())), metrics),
        tuple(query for query, ranking in zip(qrels, rankings, strict=True) if not ranking),
        tuple(qrels.without_relevant),
        left_out,
    )


def check_judged(
    queries: Sequence[str], qrels: Qrels, owner: str, unjudged: Literal["refuse", "leave_out"] = "refuse"
) -> tuple[str, ...]:
    """Refuse queries that the qrels lack.

    Args:
        queries: Those of a run.
        qrels: What they are scored against.
        owner: Whose queries they are, for the message.
        unjudged: `leave_out` refuses them only where the qrels lack all of them.

    Returns:
        The queries that the qrels lack.

    Raises:
        UsageError: The qrels are empty, or lack queries that are not to be left out.
    """
    lacking = tuple(query for query in queries if query not in qrels)
    if not len(qrels) or (lacking and (unjudged == "refuse" or len(lacking) == len(queries))):
        raise UsageError(
            f"{owner}: {len(lacking)} of its {len(queries)} queries are not among the {len(qrels)} of the qrels: "
            f"{_some(lacking)}; queries there look like {_some(tuple(qrels)) or 'none'}. Use the qrels of the same "
            "split, or leave these queries out"
        )
    return lacking


def check_metrics(metrics: Iterable[str], qrels: Qrels) -> None:
    """Refuse scores that there are none of, or that mean nothing against these qrels.

    Args:
        metrics: Names of `ofakit.scores.ranking`.
        qrels: What runs are scored against.

    Raises:
        UsageError: There is no such score, or it needs all relevant passages and the qrels are pooled.
    """
    for name in metrics:
        if parse_score(name).needs_all_relevant and qrels.mode == "pooled":
            raise UsageError(
                f"{name} needs to know every relevant passage, but the qrels are pooled: they contain only what some "
                "runs retrieved, so the score would change with the runs. Use mrr, p, hit or ndcg at some depth"
            )


def check_same_queries(*sets: Run | Qrels) -> None:
    """Refuse runs and qrels that are not about the same queries.

    Args:
        *sets: Runs and qrels.

    Raises:
        UsageError: One lacks a query that another has; the message says which.

    >>> check_same_queries(Run({"q1": {}}, name="bm25"), Qrels({"q1": {}, "q2": {}}))
    Traceback (most recent call last):
    ofakit.errors.UsageError: run 'bm25' lacks 1 of 2 queries that the qrels have: 'q2'
    """
    for one in sets:
        for other in sets:
            lacking = tuple(query for query in other if query not in one)
            if lacking:
                verb = "has" if isinstance(other, Run) else "have"
                raise UsageError(
                    f"{_called(one)} {'lacks' if isinstance(one, Run) else 'lack'} {len(lacking)} of {len(other)} "
                    f"queries that {_called(other)} {verb}: {_some(lacking)}"
                )


def _called(one: Run | Qrels) -> str:
    return f"run {one.name!r}" if isinstance(one, Run) else "the qrels"


def _some(queries: tuple[str, ...]) -> str:
    return ", ".join(map(repr, queries[:_SHOWN])) + (" …" if len(queries) > _SHOWN else "")

"""Runs are scored, written as TREC files, and listed question by question."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofakit.config.retrieval import RetrievalSection
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.files import write_text
from ofakit.json_text import to_json
from ofakit.retrieval.evaluation import score_run
from ofakit.retrieval.judging import judged
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.tasks.base import Evaluation

__all__ = ["RankingEvaluation", "score_runs"]

logger = logging.getLogger(__name__)

_SHOWN = 10


@dataclass(frozen=True)
class RankingEvaluation(Evaluation):
    """What an evaluation of rankings found.

    Attributes:
        runs: By system.
        main: The system whose scores stand at the top.
    """

    runs: Mapping[str, Run] = field(default_factory=dict)
    main: str = ""

    def write(self, folder: Path, split: str) -> None:
        """Write `<split>.json`, `<split>.run.trec`, and `<split>.<system>.run.trec` for each system.

        Args:
            folder: The folder `eval` of a run.
            split: The split's name.
        """
        for name, run in self.runs.items():
            run.write(folder / f"{split}.{name}.run.trec")
        self.runs[self.main].write(folder / f"{split}.run.trec")
        lines = (to_json(dict(row)) for row in self.rows)
        write_text(folder / f"{split}.predictions.jsonl", "".join(line + "\n" for line in lines))
        write_text(folder / f"{split}.json", to_json(dict(self.scores), indent=1) + "\n")


def score_runs(
    runs: Mapping[str, Run],
    main: str,
    queries: Sequence[Query],
    base: PassageBase,
    section: RetrievalSection,
    fitted: Mapping[str, Any] | None = None,
) -> RankingEvaluation:
    """Score the runs of several systems on the same queries.

    Args:
        runs: By system.
        main: The system whose scores stand at the top.
        queries: What was asked.
        base: The passages.
        section: Says what is scored, and against what.
        fitted: What was chosen on the validation split, by searcher, and the weights of the fusion.

    Returns:
        Its `scores` are those of the main system, `queries`, how many there are, `without_relevant`, how many nothing
        is known to answer, by system the scores of each, and `fitted` where something was chosen.
    """
    scored, qrels = judged(runs, queries, base, section)
    found = {name: score_run(run, qrels, section.metrics) for name, run in scored.items()}
    for remark in found[main].remarks():
        logger.warning(remark)
    counts = {"queries": len(qrels), "without_relevant": len(found[main].without_relevant)}
    scores: dict[str, Any] = {**found[main].means, **counts, **{name: own.means for name, own in found.items()}}
    if fitted:
        scores["fitted"] = dict(fitted)
    return RankingEvaluation(scores, _rows(scored[main], queries, qrels), runs=runs, main=main)


def _rows(run: Run, queries: Sequence[Query], qrels: Qrels) -> list[dict[str, Any]]:
    """What was found for each query, and where the first relevant passage stands."""
    rows = []
    for query in queries:
        ranking, relevant = run.ranking(query.id), set(qrels.relevant(query.id))
        first = next((place for place, passage in enumerate(ranking, start=1) if passage in relevant), None)
        about = {"id": query.id, "question": query.text, "image": query.image_path}
        rows.append({**about, "relevant": sorted(relevant), "first": first, "found": ranking[:_SHOWN]})
    return rows

"""The rankings of an evaluation: questions, what each system found for them, and the passages themselves.

Judgements are those of the run's data where that can be read, and otherwise the ids of relevant passages in the
predictions. With `evaluation_unit: article` rankings are those of articles, as they were scored.
"""

from __future__ import annotations

import copy
import filecmp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ofakit.config import ExperimentConfig, parse_config
from ofakit.data.base_folder import base_of
from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
from ofakit.data.reading import build_reader
from ofakit.errors import OfakitError, UsageError
from ofakit.reports.run_files import RunFiles, SplitFiles, located
from ofakit.retrieval.judging import judged
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run

__all__ = ["Question", "RankingSplit", "is_ranking", "ranking_split"]


class Question(NamedTuple):
    """What was asked.

    Attributes:
        id: The query's.
        text: The question, or None for an image alone.
        image: The path of its image, or None.
    """

    id: str
    text: str | None
    image: str | None


@dataclass(frozen=True)
class RankingSplit:
    """The rankings of an evaluation.

    Attributes:
        name: The split.
        questions: In their order.
        scores: What the evaluation itself reported, by name; those of a system under its name.
        runs: Rankings by system, the one that counts first.
        qrels: What is relevant.
        base: The passages; None if they cannot be read.
        metrics: The scores that were asked for.
        remarks: What a reader has to know of the data.
    """

    name: str
    questions: Sequence[Question]
    scores: Mapping[str, Any]
    runs: Mapping[str, Run]
    qrels: Qrels
    base: PassageBase | None = None
    metrics: Sequence[str] = ()
    remarks: list[str] = field(default_factory=list)

    @property
    def main(self) -> str:
        """The system that counts."""
        return next(iter(self.runs))

    def passage(self, name: str) -> Passage | None:
        """A passage, or the first of an article; None if it cannot be read.

        Args:
            name: The id of the passage or the article.
        """
        if self.base is None:
            return None
        if name in self.base:
            return self.base[self.base.position(name)]
        places = self.base.articles.get(name)
        return self.base[places[0]] if places else None


def is_ranking(split: SplitFiles) -> bool:
    """Whether an evaluation is one of rankings.

    Args:
        split: Its files.
    """
    return bool(split.rows) and "found" in split.rows[0] and "relevant" in split.rows[0]


def ranking_split(run: RunFiles, split: SplitFiles, base: bool = True) -> RankingSplit:
    """Read the rankings of an evaluation.

    Args:
        run: The run.
        split: Its evaluation.
        base: Whether passages and judgements are read from the run's data.

    Raises:
        UsageError: A file is not what it should be.
    """
    questions = [_question(row, run, split, place) for place, row in enumerate(split.rows, start=1)]
    runs = _with_main_first(split, {name: Run.read(path, name) for name, path in split.rankings.items()})
    if not runs:
        runs = {"run": _run_of_rows(split)}
    qrels = Qrels({str(row["id"]): dict.fromkeys(map(str, row["relevant"]), 1.0) for row in split.rows})
    section = run.config.get("retrieval")
    metrics = section.get("metrics", []) if isinstance(section, dict) else []
    found = RankingSplit(split.name, questions, split.scores, runs, qrels, None, metrics)
    if not base:
        return found
    try:
        return _with_base(found, run)
    except (OfakitError, OSError) as error:
        remark = f"The passages cannot be read, so only their ids are shown: {error}"
        return RankingSplit(split.name, questions, split.scores, runs, qrels, None, metrics, [remark])


def _with_base(found: RankingSplit, run: RunFiles) -> RankingSplit:
    """The same with passages, and judged as the evaluation judged."""
    config = _config(run)
    reader = build_reader(config)
    if reader is None or not hasattr(reader, "passages"):
        raise UsageError("the examples were passed to the trainer in Python")
    split = getattr(config.data, found.name, None) or found.name
    base = base_of(config, reader, split if getattr(reader, "passages_by_split", False) else None)
    asked = {question.id for question in found.questions}
    queries = [query for query in reader.read(split) if query.id in asked]
    if len(queries) < len(asked):
        raise UsageError(f"the data contains {len(queries)} of {len(asked)} questions")
    runs, qrels = judged(found.runs, queries, base, config.retrieval)
    return RankingSplit(found.name, found.questions, found.scores, runs, qrels, base, found.metrics)


def _config(run: RunFiles) -> ExperimentConfig:
    """The configuration, of the folder that the run lies in now."""
    values = copy.deepcopy(dict(run.config))
    if not values:
        raise UsageError(f"{run.folder} has no conf.json, which describes the data")
    return parse_config({**values, "work_dir": str(run.folder)})


def _question(row: Mapping[str, Any], run: RunFiles, split: SplitFiles, place: int) -> Question:
    text, lists = row.get("question"), [row.get("relevant"), row.get("found")]
    if (
        "id" not in row
        or not (text is None or isinstance(text, str))
        or not all(isinstance(own, list) for own in lists)
    ):
        raise UsageError(
            f"{run.folder}/eval/{split.name}.predictions.jsonl:{place}: expected id, question, and relevant "
            f"and found as lists, found {str(dict(row))[:200]}"
        )
    return Question(str(row["id"]), text, located(row.get("image"), run))


def _run_of_rows(split: SplitFiles) -> Run:
    """The rankings in the predictions, where there is no file of them."""
    return Run(
        {str(row["id"]): {str(name): -float(place) for place, name in enumerate(row["found"])} for row in split.rows}
    )


def _with_main_first(split: SplitFiles, runs: dict[str, Run]) -> dict[str, Run]:
    """The system first whose rankings stand in `<split>.run.trec`, which is a copy of its own file."""

    def is_main(name: str) -> bool:
        path = split.rankings[name]
        copy_of = path.with_name(f"{split.name}.run.trec")
        return copy_of.is_file() and filecmp.cmp(copy_of, path, shallow=False)

    return dict(sorted(runs.items(), key=lambda pair: is_main(pair[0]), reverse=True))

"""What retrieval found: scores of each system, recall by depth, fusion weights, and rankings of questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ofakit.reports.caption_split import reported_interval
from ofakit.reports.gallery import spread
from ofakit.reports.line_chart import Line, line_chart
from ofakit.reports.ranking_split import Question, RankingSplit
from ofakit.reports.score_tables import RESAMPLES, Cell, Table, score_cell
from ofakit.reports.template import Section, number, render
from ofakit.reports.thumbnails import Picture, picture
from ofakit.retrieval.evaluation import check_metrics, score_run
from ofakit.scores.score import Measure
from ofakit.scores.score_titles import title

__all__ = ["measures_of", "ranking_sections", "reciprocal_ranks"]

DEPTHS = (1, 2, 5, 10, 20, 50, 100)
MOST_FOUND, MOST_PICTURES, MOST_MISSED = 10, 5, 5
SMALL = 96


class Found(NamedTuple):
    """A passage on a card.

    Attributes:
        rank: Where it stands, or "–" for one that was missed.
        title: Its title, or its id.
        text: Its text.
        picture: Its image, or None where no room is given to it.
        relevant: Whether it answers the question.
    """

    rank: str
    title: str
    text: str
    picture: Picture | None
    relevant: bool


class QuestionCard(NamedTuple):
    """A question and what was found for it.

    Attributes:
        question: What was asked.
        picture: Its image.
        first: The rank of the first relevant passage by system, or "–".
        found: What the main system found.
        missed: Relevant passages that are not among these.
        more_missed: How many of those are not shown.
        order: What cards are sorted by: the rank of the first relevant passage.
        tags: What filters know it by.
    """

    question: Question
    picture: Picture
    first: Sequence[tuple[str, str]]
    found: Sequence[Found]
    missed: Sequence[Found]
    more_missed: int
    order: float
    tags: str


def ranking_sections(split: RankingSplit, most: int) -> list[Section | None]:
    """All that a report says of rankings, the scores first.

    Args:
        split: The rankings.
        most: How many questions to show at most, 1 or more.
    """
    return [_scores(split), _recall(split), _fusion(split), _questions(split, most)]


def measures_of(split: RankingSplit, system: str, metrics: Sequence[str]) -> dict[str, Measure]:
    """Scores of a system, question by question; those that mean nothing against these judgements are left out.

    Args:
        split: The rankings.
        system: Of which.
        metrics: Names of `ofakit.scores.ranking`.

    Raises:
        UsageError: There is no such score, or the rankings are of other questions.
    """
    return score_run(split.runs[system], split.qrels, metrics).measures() if metrics and len(split.qrels) else {}


def reciprocal_ranks(split: RankingSplit, system: str) -> np.ndarray:
    """One by the rank of the first relevant passage of each question, 0 where there is none, shape (questions,).

    Args:
        split: The rankings.
        system: Of which.
    """
    ranks = [_first(split, system, question.id) for question in split.questions]
    return np.array([0.0 if rank is None else 1 / rank for rank in ranks])


def _scores(split: RankingSplit) -> Section:
    """A row for each system, with intervals."""
    named = {name: split.scores[name] for name in split.runs if isinstance(split.scores.get(name), Mapping)}
    named = named or {split.main: {name: own for name, own in split.scores.items() if isinstance(own, float)}}
    names = list(dict.fromkeys(name for scores in named.values() for name in scores))
    rows = []
    for system, scores in named.items():
        metrics = [name for name in names if name in split.metrics]
        intervals = reported_interval(scores, measures_of(split, system, metrics), RESAMPLES)
        rows.append((system, [score_cell(scores.get(name), intervals.get(name)) for name in names]))
    note = "Small figures: 95 % bootstrap interval over the questions. The first system is the one whose scores count."
    table = Table("Scores of each system", ["system", *map(title, names)], rows, note)
    counts = [
        (name, [score_cell(split.scores[name])]) for name in ("queries", "without_relevant") if name in split.scores
    ]
    tables = [table, Table("Questions", ["", "number"], counts)] if counts else [table]
    return Section("scores", "Scores", render("tables.html", tables=tables, remark=""))


def _recall(split: RankingSplit) -> Section:
    """How much is found down to a depth."""
    longest = max((len(run.ranking(query)) for run in split.runs.values() for query in run), default=1)
    depths = [depth for depth in DEPTHS if depth <= max(longest, 1)]
    kinds = {"hit": "Questions with a relevant passage, by depth"}
    if split.qrels.mode != "pooled":
        kinds["recall"] = "Share of relevant passages found, by depth"
    charts = []
    for kind, heading in kinds.items():
        metrics = [f"{kind}@{depth}" for depth in depths]
        check_metrics(metrics, split.qrels)
        lines = []
        for system in split.runs:
            means = {name: own.corpus for name, own in measures_of(split, system, metrics).items()}
            lines.append(Line(system, [(float(depth), means.get(f"{kind}@{depth}")) for depth in depths]))
        charts.append(line_chart(heading, lines, "depth", logarithmic=True))
    return Section("recall", "Recall by depth", render("curves.html", charts=charts, left_out=0))


def _fusion(split: RankingSplit) -> Section | None:
    """What was chosen on the validation split: the weights of the fusion, and settings of searchers."""
    fitted = split.scores.get("fitted")
    if not isinstance(fitted, Mapping) or not fitted:
        return None
    tables = []
    for name, chosen in fitted.items():
        if isinstance(chosen, Mapping):
            heading = "Fusion weights" if name == "fused" else f"Settings of {name}"
            rows = [(str(key), [_chosen(value)]) for key, value in chosen.items()]
            tables.append(Table(heading, ["of" if name == "fused" else "setting", "value"], rows))
    remark = "These were chosen on the validation split."
    return Section("fusion", "Fusion weights", render("tables.html", tables=tables, remark=remark)) if tables else None


def _chosen(value: object) -> Cell:
    return score_cell(value) if isinstance(value, int | float) and not isinstance(value, bool) else Cell(str(value))


def _questions(split: RankingSplit, most: int) -> Section | None:
    if not split.questions:
        return None
    cards = [_card(split, split.questions[place]) for place in spread(len(split.questions), most)]
    answered = [
        ("first", "first passage is relevant"),
        ("top", "a relevant one is in the first 10"),
        ("missed", "none in the first 10"),
    ]
    sorts = [("order:1", "order of the data"), ("rank:1", "best first"), ("rank:-1", "worst first")]
    body = render(
        "rankings.html", key="question-cards", cards=cards, filters=[("Found", answered)], sorts=sorts,
        shown=f"{len(cards)} of {len(split.questions)} questions; rankings of {split.main}",
    )  # fmt: skip
    return Section("rankings", "Rankings", body)


def _card(split: RankingSplit, question: Question) -> QuestionCard:
    ranking = split.runs[split.main].ranking(question.id)
    relevant = split.qrels.relevant(question.id) if question.id in split.qrels else []
    shown = ranking[:MOST_FOUND]
    found = [
        _found(split, name, str(place), name in relevant, place <= MOST_PICTURES)
        for place, name in enumerate(shown, start=1)
    ]
    ranks = {name: place for place, name in enumerate(ranking, start=1)}
    missed = [name for name in relevant if name not in shown]
    first = _first(split, split.main, question.id)
    tags = "missed" if first is None or first > MOST_FOUND else "first top" if first == 1 else "top"
    return QuestionCard(
        question, picture(question.image),
        [(system, number(_first(split, system, question.id))) for system in split.runs], found,
        [_found(split, name, number(ranks.get(name)), True, True) for name in missed[:MOST_MISSED]],
        max(0, len(missed) - MOST_MISSED), 1e9 if first is None else first, tags,
    )  # fmt: skip


def _found(split: RankingSplit, name: str, rank: str, relevant: bool, pictured: bool) -> Found:
    passage = split.passage(name)
    if passage is None:
        return Found(rank, name, "", None, relevant)
    image = picture(passage.image, SMALL) if pictured and passage.image is not None else None
    return Found(rank, passage.title or name, passage.text or "", image, relevant)


def _first(split: RankingSplit, system: str, query: str) -> int | None:
    """The rank of the first relevant passage."""
    relevant = set(split.qrels.relevant(query)) if query in split.qrels else set()
    ranking = split.runs[system].ranking(query)
    return next((place for place, name in enumerate(ranking, start=1) if name in relevant), None)

"""Several runs on one page: their curves, scores with intervals, tests of every pair, and their output for each item.

Scores are of the items that all runs have, computed from their predictions, so that they can be compared. The test is
Fisher's randomization, as in `tools/compare.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

from ofakit.errors import UsageError
from ofakit.reports.caption_split import CaptionSplit, is_captioning
from ofakit.reports.curves import curves_of_runs
from ofakit.reports.gallery import spread
from ofakit.reports.page import page
from ofakit.reports.ranking_split import RankingSplit, is_ranking, ranking_split
from ofakit.reports.rankings import measures_of, reciprocal_ranks
from ofakit.reports.run_files import RunFiles, SplitFiles
from ofakit.reports.run_report import IMAGES, caption_split_of
from ofakit.reports.score_tables import Cell, Table, score_cell
from ofakit.reports.template import Section, number, render
from ofakit.reports.thumbnails import Picture, picture
from ofakit.scores import bootstrap_intervals, paired_tests
from ofakit.scores.score import Measure
from ofakit.scores.score_titles import title

__all__ = ["comparison_report", "names_of"]

RESAMPLES, ROUNDS = 1000, 10_000
LEVEL = 0.01

Measures = Mapping[str, Mapping[str, Measure]]
"""By run and score, of the same items in the same order."""


class Said(NamedTuple):
    """What a run made of an item: its text, and how good it was."""

    run: str
    text: str
    score: str


class ItemCard(NamedTuple):
    """An item, and what every run made of it.

    Attributes:
        picture: Its image.
        about: The style asked for, or the question.
        said: By run.
        references: What people wrote.
        difference: The score of the last run minus that of the first, which cards are sorted by.
    """

    picture: Picture
    about: str
    said: Sequence[Said]
    references: Sequence[str]
    difference: float


class Compared(NamedTuple):
    """The items that all runs have.

    Attributes:
        measures: By run.
        cards: Some of the items.
        left_out: How many items only some of the runs have.
        items: How many items all have.
        score: What cards give of each item.
    """

    measures: Measures
    cards: Sequence[ItemCard]
    left_out: int
    items: int
    score: str


def comparison_report(
    runs: Sequence[RunFiles], images: int = IMAGES, split: str | None = None, base: bool = True
) -> str:
    """Write the comparison of two runs or more.

    Args:
        runs: The runs.
        images: How many items are shown at most, 1 or more.
        split: The evaluation to compare; None takes the one that the first run ended with.
        base: Whether passages are read from the runs' data, for their titles.

    Returns:
        HTML with everything in it.

    Raises:
        UsageError: There are fewer than two runs, or they have no evaluation of the same task, split and items.
    """
    if len(runs) < 2 or images < 1:
        raise UsageError(f"expected two runs or more and 1 image or more, found {len(runs)} and {images}")
    named = dict(zip(names_of(runs), runs, strict=True))
    first = runs[0].split(split)
    if first is None:
        raise UsageError(f"{runs[0].folder}: nothing has been evaluated, so there is nothing to compare")
    shown = {name: (run, run.split(first.name)) for name, run in named.items()}
    compared = _compared({name: (run, own) for name, (run, own) in shown.items() if own is not None}, images, base)
    records = {name: [*run.records, *(r for stage in run.stages for r in stage.records)] for name, run in named.items()}
    sections = [_scores(compared), _tests(compared), curves_of_runs(records), _items(compared)]
    return page(f"{first.name}: {len(runs)} runs", sections, [("run", name) for name in named])


def names_of(runs: Sequence[RunFiles]) -> list[str]:
    """What runs are called: as much of the end of their folders as tells them apart.

    Args:
        runs: The runs.
    """
    paths = [run.folder.absolute().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    again = next(run.folder for run in runs if sum(other.folder == run.folder for other in runs) > 1)
    raise UsageError(f"{again} is given twice; name each run once")


def _compared(shown: Mapping[str, tuple[RunFiles, SplitFiles]], images: int, base: bool) -> Compared:
    splits = [own for _, own in shown.values()]
    if all(map(is_captioning, splits)):
        return _captions({name: caption_split_of(run, own) for name, (run, own) in shown.items()}, images)
    if all(map(is_ranking, splits)):
        return _rankings({name: ranking_split(run, own, base) for name, (run, own) in shown.items()}, images)
    kinds = {
        name: "captions" if is_captioning(own) else "rankings" if is_ranking(own) else "scores alone"
        for name, (_, own) in shown.items()
    }
    raise UsageError(f"expected runs of one task, with captions or rankings of {splits[0].name}, found {kinds}")


def _captions(splits: Mapping[str, CaptionSplit], images: int) -> Compared:
    """The captions of items of one id, style and references."""
    keyed = {
        name: {(item.id, item.style): item for item in split.items if item.references} for name, split in splits.items()
    }
    common, left_out = _common(keyed)
    cut = {name: replace(split, items=[keyed[name][key] for key in common]) for name, split in splits.items()}
    cards = []
    for place in spread(len(common), images):
        items = {name: split.items[place] for name, split in cut.items()}
        ciders = {name: float(split.cider[place]) for name, split in cut.items()}
        one = next(iter(items.values()))
        said = [Said(name, item.caption, number(ciders[name])) for name, item in items.items()]
        change = list(ciders.values())[-1] - list(ciders.values())[0]
        cards.append(ItemCard(picture(one.image), one.style or "", said, one.references[:5], change))
    return Compared({name: split.measures for name, split in cut.items()}, cards, left_out, len(common), "CIDEr")


def _rankings(splits: Mapping[str, RankingSplit], images: int) -> Compared:
    """The rankings of the systems that count, for the questions that all runs have."""
    common, left_out = _common(
        {name: {question.id: question for question in split.questions} for name, split in splits.items()}
    )
    metrics = [
        name for name in next(iter(splits.values())).metrics if all(name in split.metrics for split in splits.values())
    ]
    measures: dict[str, dict[str, Measure]] = {}
    ranks = {}
    for name, split in splits.items():
        places = [list(split.qrels).index(query) for query in common]
        own = measures_of(split, split.main, metrics)
        measures[name] = {key: Measure(one.statistics[places], one.combine) for key, one in own.items()}
        at = {question.id: place for place, question in enumerate(split.questions)}
        ranks[name] = reciprocal_ranks(split, split.main)[[at[query] for query in common]]
    questions = {question.id: question for question in next(iter(splits.values())).questions}
    cards = []
    for place in spread(len(common), images):
        question = questions[common[place]]
        said = [
            Said(name, _top(split, question.id), number(float(ranks[name][place]))) for name, split in splits.items()
        ]
        change = float(list(ranks.values())[-1][place] - list(ranks.values())[0][place])
        cards.append(ItemCard(picture(question.image), question.text or question.id, said, (), change))
    return Compared(measures, cards, left_out, len(common), "reciprocal rank")


def _top(split: RankingSplit, query: str) -> str:
    """The passages that stand first."""
    passages = [(split.passage(name), name) for name in split.runs[split.main].ranking(query)[:3]]
    return " · ".join((passage.title or name) if passage else name for passage, name in passages)


def _common(keyed: Mapping[str, Mapping[Any, Any]]) -> tuple[list[Any], int]:
    """The keys that all have, in the order of the first, and how many others there are."""
    first = next(iter(keyed.values()))
    common = [key for key in first if all(key in own for own in keyed.values())]
    if not common:
        raise UsageError(
            f"the runs have no item in common: {', '.join(map(repr, keyed))}; compare runs on the same data"
        )
    return common, len({key for own in keyed.values() for key in own}) - len(common)


def _scores(compared: Compared) -> Section:
    names = [
        name
        for name in next(iter(compared.measures.values()))
        if all(name in own for own in compared.measures.values())
    ]
    rows = []
    for run, measures in compared.measures.items():
        intervals = bootstrap_intervals({name: measures[name] for name in names}, RESAMPLES)
        rows.append((run, [score_cell(measures[name].corpus, intervals[name]) for name in names]))
    note = f"{compared.items} items common to all runs" + (
        f"; {compared.left_out} others are left out" if compared.left_out else ""
    )
    table = Table("Scores", ["run", *map(title, names)], rows, f"{note}. Small figures: 95 % bootstrap interval.")
    return Section("scores", "Scores", render("tables.html", tables=[table], remark=""))


def _tests(compared: Compared) -> Section:
    tables = []
    for (first, ours), (second, theirs) in combinations(compared.measures.items(), 2):
        rows = []
        for name, found in paired_tests(ours, theirs, ROUNDS).items():
            better = second if found.difference > 0 else first
            verdict = f"{better} is better" if found.p <= LEVEL and found.difference else "could be chance"
            cells = [
                Cell(f"{found.difference:+.4g}", "", found.difference),
                Cell(f"{found.p:.4f}", "", found.p),
                Cell(verdict),
            ]
            rows.append((title(name), cells))
        tables.append(Table(f"{second} minus {first}", ["score", "difference", "p", "verdict"], rows))
    remark = (
        f"Fisher's randomization test, {ROUNDS:,} rounds; a difference counts as significant where p is at most "
        f"{LEVEL:g}."
    )
    return Section("tests", "Do they differ?", render("tables.html", tables=tables, remark=remark))


def _items(compared: Compared) -> Section:
    sorts = [("order:1", "order of the data"), ("difference:-1", "gains first"), ("difference:1", "losses first")]
    shown = f"{len(compared.cards)} of {compared.items} items; gains are those of the last run over the first"
    body = render(
        "comparison.html",
        key="item-cards",
        cards=compared.cards,
        filters=[],
        sorts=sorts,
        shown=shown,
        score=compared.score,
    )
    return Section("items", "Side by side", body)

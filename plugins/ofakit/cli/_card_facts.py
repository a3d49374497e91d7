"""What the run of a model directory contributes to its model card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofakit.hub.bundle import CAPTIONING
from ofakit.hub.directory import CONFIGURATION, read_configuration
from ofakit.hub.model_card import CardExample, CardFacts, CardScore, public_settings
from ofakit.reports.caption_split import CaptionSplit, is_captioning, reported_interval
from ofakit.reports.ranking_split import is_ranking, ranking_split
from ofakit.reports.rankings import measures_of
from ofakit.reports.run_files import RunFiles, SplitFiles, read_run
from ofakit.reports.run_report import caption_split_of
from ofakit.scores.score_titles import title

__all__ = ["Card", "card_of", "run_of"]

EXAMPLES = 6
DRAWN = ("scenes", "scene_kb")
"""Readers whose images ofakit draws; those of others are photographs, which may not be given on."""
IMAGE_NAME = "examples/{}.png"

Rows = list[tuple[str, float | None, tuple[float, float] | None]]


@dataclass(frozen=True)
class Card:
    """A card, before it is written.

    Attributes:
        facts: What it tells.
        images: Images that it shows, by the name in the repository.
    """

    facts: CardFacts
    images: Mapping[str, Path] = field(default_factory=dict)


def run_of(model: Path, given: str | None) -> RunFiles | None:
    """The run that a model directory came out of.

    Args:
        model: The model directory.
        given: Its run directory as somebody named it; None looks around the model directory.

    Returns:
        None if there is none around it.

    Raises:
        UsageError: What was named is not a run directory, or one of its files is damaged.
    """
    around = model.absolute().parent
    if given is None and not (around / "conf.json").is_file():
        return None
    return read_run(given or around)


def card_of(name: str, model: Path, run: RunFiles | None, licence: str | None, images: bool | None = None) -> Card:
    """Gather what a card tells.

    Args:
        name: owner/name.
        model: The model directory.
        run: Its run; None where that is not at hand.
        licence: Of the model, if given.
        images: Whether images of examples are shown; None shows those that ofakit drew.

    Raises:
        UsageError: A file of the run or of the model directory is damaged.
    """
    path = model / CONFIGURATION
    said = read_configuration(path) if path.is_file() else run.config if run is not None else {}
    task = str(said.get("task") or CAPTIONING)
    if run is None:
        return Card(CardFacts(name, task, licence=licence))
    reader = _inside(run.config, "data", "reader", "type")
    split = run.split()
    rows = _examples(run, split, (reader in DRAWN) if images is None else images)
    pictures = {IMAGE_NAME.format(place): path for place, (_, path) in enumerate(rows, start=1) if path is not None}
    shown = [_with_image(example, place, path) for place, (example, path) in enumerate(rows, start=1)]
    description = run.config.get("description")
    facts = CardFacts(
        name, task, description if isinstance(description, str) else "", public_settings(run.config),
        list(_data(run, reader)), split.name if split else "", list(_scores(run, split)), shown, licence,
    )  # fmt: skip
    return Card(facts, pictures)


def _data(run: RunFiles, reader: Any) -> Iterator[tuple[str, str]]:
    if isinstance(reader, str):
        yield "reader", reader
    for name, split in run.splits.items():
        if split.rows:
            yield f"{name} examples", str(len(split.rows))
    steps = [record["step"] for one in (run, *run.stages) for record in one.records]
    if steps:
        yield "training steps", str(max(steps))
    if run.bad_examples:
        yield "damaged examples (left out)", str(len(run.bad_examples))


def _scores(run: RunFiles, split: SplitFiles | None) -> Iterator[CardScore]:
    """The scores of the split with intervals, and of each style or searcher."""
    if split is None:
        return
    if is_captioning(split):
        found = _caption_rows(caption_split_of(run, split))
    elif is_ranking(split):
        found = _ranking_rows(run, split)
    else:
        found = _rows(split.scores, {})
    for name, value, bounds in found:
        if value is not None:
            yield CardScore(name, f"{value:.4g}", "" if bounds is None else f"{bounds[0]:.4g} to {bounds[1]:.4g}")


def _caption_rows(split: CaptionSplit) -> Rows:
    found = _rows(split.scores, reported_interval(split.scores, split.measures))
    for style, spelling in split.styles.items():
        start = f"{spelling}/"
        own = {name.removeprefix(start): value for name, value in split.scores.items() if name.startswith(start)}
        found += _rows(own, reported_interval(own, split.by_style.get(style, {})), f"{spelling}: ")
    return found


def _ranking_rows(run: RunFiles, split: SplitFiles) -> Rows:
    ranked = ranking_split(run, split, base=False)
    of_each = {name: split.scores[name] for name in ranked.runs if isinstance(split.scores.get(name), Mapping)}
    found: Rows = []
    for system, scores in (of_each or {ranked.main: split.scores}).items():
        metrics = [name for name in scores if name in ranked.metrics]
        found += _rows(scores, reported_interval(scores, measures_of(ranked, system, metrics)), f"{system}: ")
    return found


def _rows(scores: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], before: str = "") -> Rows:
    """The numbers of a table of scores that belong to no part."""
    return [
        (before + title(name), value, intervals.get(name)) for name, value in scores.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and "/" not in name
    ]  # fmt: skip


def _examples(run: RunFiles, split: SplitFiles | None, images: bool) -> list[tuple[CardExample, Path | None]]:
    """Captions from all over the split, each with the file of its image where that is to be shown."""
    if split is None or not is_captioning(split):
        return []
    items = caption_split_of(run, split).items
    chosen = [items[place * len(items) // EXAMPLES] for place in range(EXAMPLES)] if len(items) > EXAMPLES else items
    found = []
    for item in chosen:
        example = CardExample(item.caption, item.style, item.references[0] if item.references else "")
        path = Path(item.image) if images and isinstance(item.image, str) else None
        found.append((example, path if path is not None and path.is_file() else None))
    return found


def _with_image(example: CardExample, place: int, path: Path | None) -> CardExample:
    image = None if path is None else IMAGE_NAME.format(place)
    return CardExample(example.caption, example.style, example.reference, image)


def _inside(config: Mapping[str, Any], *keys: str) -> Any:
    """What a configuration has at a place; None if it has nothing there."""
    found: Any = config
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found

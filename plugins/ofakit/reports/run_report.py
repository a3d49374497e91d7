"""The report of a run: curves, scores, what it wrote or found, and what went wrong; and the page of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ofakit.errors import UsageError
from ofakit.reports.caption_split import Captioned, CaptionSplit, captioned, is_captioning
from ofakit.reports.curves import curves
from ofakit.reports.distinct_captions import distinct_captions
from ofakit.reports.failures import failures
from ofakit.reports.gallery import extremes, gallery
from ofakit.reports.page import page
from ofakit.reports.ranking_split import is_ranking, ranking_split
from ofakit.reports.rankings import ranking_sections
from ofakit.reports.run_files import RunFiles, SplitFiles
from ofakit.reports.score_tables import caption_scores, other_scores, plain_scores
from ofakit.reports.style_judge import judge_of
from ofakit.reports.style_matrix import style_section
from ofakit.reports.template import Section, number

__all__ = ["IMAGES", "caption_split_of", "captions_page", "run_report"]

IMAGES = 60
"""Images in a gallery, or questions in a list, where it is not said."""

EXTREMES = 8


def run_report(run: RunFiles, images: int = IMAGES, split: str | None = None, base: bool = True) -> str:
    """Write the report of a run.

    Args:
        run: The run.
        images: How many images or questions are shown at most, 1 or more.
        split: The evaluation to show; None takes the one that the run ended with.
        base: Whether passages are read from the run's data, for their titles, texts and images.

    Returns:
        HTML with everything in it.

    Raises:
        UsageError: The run has no such evaluation, a file is not what it should be, or `images` is below 1.
    """
    _check(images)
    shown = run.split(split)
    sections: list[Section | None] = []
    findings: list[str] = []
    if shown is not None:
        sections, findings = _evaluation(run, shown, images, base)
    others = {name: own.scores for name, own in run.splits.items() if own is not shown}
    drawn = [curves(run.records, "curves")] + [
        curves(stage.records, f"curves-{place}", f"Curves of stage {stage.name}")
        for place, stage in enumerate(run.stages, start=1)
    ]
    all_sections = [*sections[:1], *drawn, *sections[1:], other_scores(others), failures(run, findings)]
    return page(f"{run.name}: {shown.name}" if shown else run.name, all_sections, _facts(run, shown))


def captions_page(
    title: str, scores: Mapping[str, Any], predictions: Sequence[Any], obeys: Any = None, images: int = IMAGES
) -> str:
    """Write the page of an evaluation during a run.

    Args:
        title: The heading of the page.
        scores: By name.
        predictions: Captions with `id`, `image`, `style`, `caption`, `references` and perhaps `before_rerank`.
        obeys: From captions and the style asked of each, whether each obeys; None where nothing can tell.
        images: How many images to show at most, 1 or more.

    Returns:
        HTML with the images inside.

    Raises:
        UsageError: `images` is below 1.
    """
    _check(images)
    items = [
        Captioned(one.id, one.image, one.style, one.caption, tuple(one.references), one.before_rerank, one.p_yes)
        for one in predictions
    ]
    split = CaptionSplit("", items, scores, obeys)
    return page(title, [caption_scores(split, resamples=0), *_captions(split, images)])


def caption_split_of(run: RunFiles, split: SplitFiles) -> CaptionSplit:
    """The captions of an evaluation of a run, with what tells styles apart.

    Args:
        run: The run.
        split: Its evaluation.

    Raises:
        UsageError: A line is none of a caption, or the style classifier's file is damaged.
    """
    segmentation = _inside(run.config, "evaluation", "segmentation") or "characters"
    return CaptionSplit(split.name, captioned(split, run), split.scores, judge_of(run), segmentation)


def _evaluation(run: RunFiles, shown: SplitFiles, images: int, base: bool) -> tuple[list[Section | None], list[str]]:
    """The sections of an evaluation, its scores first, and what was found to be wrong."""
    if is_captioning(shown):
        split = caption_split_of(run, shown)
        empty = sum(not item.caption.strip() for item in split.items)
        return [caption_scores(split), *_captions(split, images)], [f"{empty} captions are empty."] if empty else []
    if is_ranking(shown):
        rankings = ranking_split(run, shown, base)
        return ranking_sections(rankings, images), rankings.remarks
    return [plain_scores(shown.scores)], []


def _captions(split: CaptionSplit, images: int) -> list[Section | None]:
    most = min(EXTREMES, images)
    return [style_section(split), gallery(split, images), extremes(split, most), distinct_captions(split)]


def _facts(run: RunFiles, shown: SplitFiles | None) -> list[tuple[str, str]]:
    """What is worth knowing of a run at a glance."""
    config = run.config
    steps = max(
        (record["step"] for record in [*run.records, *(r for s in run.stages for r in s.records)]), default=None
    )
    found = {
        "about": config.get("description"), "task": config.get("task"),
        "data": _inside(config, "data", "reader", "type"),
        "model": _inside(config, "model", "type"), "seed": config.get("seed"), "steps": steps and number(steps),
        "examples of the split": number(len(shown.rows)) if shown and shown.rows else None,
    }  # fmt: skip
    return [(name, str(value)) for name, value in found.items() if value not in (None, "", {})]


def _inside(config: Mapping[str, Any], *keys: str) -> Any:
    """What a configuration has at a place; None if it has nothing there."""
    found: Any = config
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _check(images: int) -> None:
    if images < 1:
        raise UsageError(f"images: expected to show 1 or more, found {images}")

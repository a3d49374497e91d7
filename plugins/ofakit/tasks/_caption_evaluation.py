"""Scores of captions, overall and of each style, beside a control with shuffled images.

The control asks how much of a score the image earns: every caption is scored against the references of another
image in the same style. A model that looks at nothing loses nothing. Where hypotheses are reranked, what the search
itself put first is scored beside it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from modelscope.metrics.base import Metric
from modelscope.metrics.builder import build_metric

from ofakit.config.component import Component
from ofakit.data import Example
from ofakit.data.image_keys import image_key
from ofakit.data.style_names import first_spellings, same_style
from ofakit.errors import UsageError, did_you_mean
from ofakit.metrics import METRICS
from ofakit.registry import modelscope_members
from ofakit.scores import StyleClassifier, cider, document_frequency, measure, self_cider, tokenize, variety
from ofakit.scores.cider import zero_by_nature
from ofakit.scores.diversity import one_for_many

__all__ = ["Prediction", "StyleJudge", "build_metrics", "score_predictions", "shuffled", "style_judge"]

logger = logging.getLogger(__name__)

SELDOM = ("p_yes", "before_rerank", "group")
REPORTED = ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l", "cider")


@dataclass(frozen=True)
class StyleJudge:
    """What tells whether a caption is in its style.

    Attributes:
        obeys: From captions and the style asked of each, whether each obeys.
        human_accuracy: The share of captions by people, none of them seen in training, that it finds in their style;
            1 for a rule that the data set knows.
    """

    obeys: Callable[[Sequence[str], Sequence[str]], Sequence[bool]]
    human_accuracy: float


def style_judge(reader: Any, examples: Mapping[str, Sequence[Example]], work_dir: Path) -> StyleJudge | None:
    """The judge of a data set: its own rule, or else a classifier trained on its training captions.

    Args:
        reader: Has a method `obeys_style(caption, style)` where the data set knows a rule.
        examples: The examples of every split, by name.
        work_dir: A classifier that is trained is saved here as `style_classifier.npz`.

    Returns:
        None where fewer than two styles are known.
    """
    if hasattr(reader, "obeys_style"):
        return StyleJudge(lambda captions, styles: [*map(reader.obeys_style, captions, styles)], 1.0)
    captions, styles = _styled_captions(examples.get("train", ()))
    if len(set(styles)) < 2:
        return None
    held_out = _styled_captions(examples.get("test") or examples.get("val") or ())
    classifier = StyleClassifier.train(captions, styles, *(held_out if held_out[0] else ()))
    classifier.save(work_dir / "style_classifier.npz")

    def obeys(captions: Sequence[str], styles: Sequence[str]) -> list[bool]:
        heard = classifier.predict(tokenize(list(captions)))
        return [found == same_style(style) for found, style in zip(heard, styles, strict=True)]

    return StyleJudge(obeys, classifier.human_accuracy)


def _styled_captions(examples: Iterable[Example]) -> tuple[list[str], list[str]]:
    """Tokenized captions by people and the style of each."""
    pairs = [(text, e.style) for e in examples if e.style for text in (e.references or (e.text,)) if text]
    return tokenize([text for text, _ in pairs]), [same_style(style) for _, style in pairs]


@dataclass(frozen=True)
class Prediction:
    """A caption beside what it is measured by.

    Attributes:
        id: The example's.
        image: The image's path, the image itself where it is in memory, or None.
        style: The style asked for, or None.
        caption: What the model wrote.
        score: Its length-normalised log-probability.
        references: What people wrote.
        p_yes: With reranking how sure the model is that the caption fits, in [0, 1]; else None.
        before_rerank: With reranking the hypothesis with the best score; else None.
        group: What its scores are also given by; None for no group.
        alternatives: The further hypotheses of the search.
    """

    id: str
    image: Any
    style: str | None
    caption: str
    score: float
    references: tuple[str, ...]
    p_yes: float | None = None
    before_rerank: str | None = None
    group: str | None = None
    alternatives: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """For JSON lines, without alternatives; an image in memory is null, and `SELDOM` are left out where empty."""
        row = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "alternatives"}
        row["image"] = str(self.image) if isinstance(self.image, str | Path) else None
        return {key: value for key, value in row.items() if value is not None or key not in SELDOM}


def build_metrics(specs: Sequence[Component]) -> dict[str, Metric]:
    """The metrics of `evaluation.metrics`, by their `type`.

    Args:
        specs: A `type` is a file of `ofakit.metrics` or a name in ModelScope's METRICS.

    Raises:
        UsageError: There is no such metric, or it does not take one of the keys.
    """
    built, theirs = {}, modelscope_members("METRICS")
    for spec in specs:
        arguments = spec.model_dump()
        own = _own_name(spec.type)
        if own in METRICS.names():
            built[spec.type] = METRICS.build({**arguments, "type": own})
            continue
        if spec.type not in theirs:
            known = did_you_mean(spec.type, sorted({*METRICS.names(), *theirs}))
            raise UsageError(f"evaluation.metrics: unknown metric {spec.type!r}: {known}")
        try:
            built[spec.type] = build_metric(arguments)
        except (TypeError, ImportError) as error:
            raise UsageError(f"evaluation.metrics: {spec.model_dump()}: {error}") from None
    return built


def _own_name(name: str) -> str:
    """The file of one of our metrics, also from ModelScope's name for it."""
    return name.removeprefix("ofakit-").replace("-", "_") if name.startswith("ofakit-") else name


def score_predictions(
    predictions: Sequence[Prediction],
    judge: StyleJudge | None,
    seed: int | None = 0,
    metrics: Mapping[str, Metric] | None = None,
    segmentation: str = "characters",
) -> dict[str, float]:
    """BLEU, ROUGE-L and CIDEr over all captions and over each style, style accuracy, and CIDEr of the control.

    Args:
        predictions: At least one.
        judge: Says of each caption whether it is in the style beside it; None leaves style accuracy out.
        seed: Of the control's permutation; None leaves the control out.
        metrics: Further ones, fresh; theirs are `<name>/<score>`.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.

    Returns:
        The scores by name: `cider` and `cross_cider` from 0 to 10, the others from 0 to 1, but for `distinct` and
        `vocabulary`, the numbers of different captions and words; `most_frequent` is the share of the caption that
        occurs most often; `self_cider` is how varied the hypotheses for one image are, where it has several; those of a
        style, as it is spelled first, as `<style>/<score>`, and those of a group as `<group>/<score>`. Where hypotheses
        were reranked also `p_yes`, its mean; `reranked`, the share of captions that it changed; and as
        `without_rerank/<score>` the scores of what the search put first.
    """
    scores = _text_scores(predictions, segmentation) | _control(predictions, seed, segmentation)
    if scores["cider"] == 0:
        _warn_of_cider(predictions, segmentation)
    styles = first_spellings(p.style for p in predictions)
    scores |= _style_accuracy(predictions, judge)
    if judge is not None and "style_accuracy" in scores:
        scores["style_accuracy_of_people"] = judge.human_accuracy
    for style, spelling in sorted(styles.items()) if len(styles) > 1 else []:
        of_style = [p for p in predictions if _key(p.style) == style]
        own = _text_scores(of_style, segmentation) | _style_accuracy(of_style, judge)
        own |= _control(of_style, seed, segmentation) | _variety(of_style, segmentation)
        scores |= {f"{spelling}/{name}": value for name, value in own.items()}
    for group in sorted({p.group for p in predictions if p.group is not None}):
        own = _text_scores([p for p in predictions if p.group == group], segmentation)
        scores |= {f"{group}/{name}": value for name, value in own.items()}
    for name, metric in (metrics or {}).items():
        scores |= {f"{name}/{key}": value for key, value in _measured(metric, predictions).items()}
    scores |= _variety(predictions, segmentation, warn=True)
    return {**scores, **_rerank_scores(predictions, judge, segmentation), "captions": len(predictions)}


def _measured(metric: Metric, predictions: Sequence[Prediction]) -> dict[str, float]:
    """What a ModelScope metric says of the captions."""
    rows: dict[str, list[Any]] = {"ids": [p.id for p in predictions], "styles": [p.style for p in predictions]}
    rows["images"] = [p.image for p in predictions]
    references = [list(p.references) for p in predictions]
    metric.add({"captions": [p.caption for p in predictions]}, {"references": references, **rows})
    return metric.evaluate()


def _control(predictions: Sequence[Prediction], seed: int | None, segmentation: str) -> dict[str, float]:
    """CIDEr with shuffled images; nothing where it is not asked for or there is nothing to shuffle."""
    control = None if seed is None else shuffled(predictions, seed)
    return {} if control is None else {"cider_shuffled": float(cider(*_tokenized(control, segmentation)).corpus)}


def _rerank_scores(predictions: Sequence[Prediction], judge: StyleJudge | None, segmentation: str) -> dict[str, float]:
    """What reranking changed; nothing where it was not asked for."""
    first = [p.before_rerank for p in predictions if p.before_rerank is not None]
    if len(first) < len(predictions):
        return {}
    before = [replace(p, caption=text) for p, text in zip(predictions, first, strict=True)]
    found = _text_scores(before, segmentation) | _style_accuracy(before, judge)
    scores = {f"without_rerank/{name}": value for name, value in found.items()}
    sure = [p.p_yes for p in predictions if p.p_yes is not None]
    changed = [p.caption != p.before_rerank for p in predictions]
    return {**scores, "p_yes": float(np.mean(sure)) if sure else 0.0, "reranked": float(np.mean(changed))}


def _style_accuracy(predictions: Sequence[Prediction], judge: StyleJudge | None) -> dict[str, float]:
    """The share of captions in the style asked for; nothing without a judge or a style."""
    pairs = [(p.caption, p.style) for p in predictions if p.style is not None]
    if judge is None or not pairs:
        return {}
    captions, styles = zip(*pairs, strict=True)
    return {"style_accuracy": float(np.mean(judge.obeys(captions, styles)))}


def _warn_of_cider(predictions: Sequence[Prediction], segmentation: str) -> None:
    """Say where CIDEr cannot be anything but 0, which would pass for a fault of the captions."""
    reason = zero_by_nature(_tokenized(predictions, segmentation)[1])
    if reason is not None:
        logger.warning("CIDEr is always 0 here, whatever the captions say: %s", reason)


def _text_scores(predictions: Sequence[Prediction], segmentation: str) -> dict[str, float]:
    found, _ = measure(*_tokenized(predictions, segmentation), java=False, meteor=False)
    return {name: found[name].corpus for name in REPORTED}


def _variety(predictions: Sequence[Prediction], segmentation: str, warn: bool = False) -> dict[str, float]:
    """How varied the captions are, on demand with a warning where one stands for many images."""
    candidates, references = _tokenized(predictions, segmentation)
    found = variety(candidates, references)
    caption, count = found.pop("most_frequent"), found.pop("most_frequent_count")
    warning = one_for_many(caption, count, len(predictions))
    if warn and warning:
        logger.warning(warning)
    return {**found, "most_frequent": count / len(predictions), **_self_cider(predictions, references, segmentation)}


def _self_cider(
    predictions: Sequence[Prediction], references: Sequence[Sequence[str]], segmentation: str
) -> dict[str, float]:
    """How varied the hypotheses for one image are, over the images that have several; nothing where none has."""
    several = [(p, own) for p, own in zip(predictions, references, strict=True) if p.alternatives]
    if not several:
        return {}
    flat = iter(tokenize([text for p, _ in several for text in (p.caption, *p.alternatives)], segmentation))
    sets = [[next(flat) for _ in (p.caption, *p.alternatives)] for p, _ in several]
    return {"self_cider": float(self_cider(sets, document_frequency([own for _, own in several])).corpus)}


def _tokenized(predictions: Sequence[Prediction], segmentation: str) -> tuple[list[str], list[list[str]]]:
    """Captions and references as the COCO evaluation reads them: each all in one go."""
    candidates = tokenize([p.caption for p in predictions], segmentation)
    flat = iter(tokenize([text for p in predictions for text in p.references], segmentation))
    return candidates, [[next(flat) for _ in p.references] for p in predictions]


def shuffled(predictions: Sequence[Prediction], seed: int) -> list[Prediction] | None:
    """Every caption moved to another image of the same style; None where one image has over half of a style's.

    Generating from a wrong image in the same style gives just the caption that image already has, so nothing is
    generated again.

    Args:
        predictions: The captions of a split.
        seed: Of the permutation.
    """
    random = np.random.default_rng(seed)
    moved = list(predictions)
    for style in dict.fromkeys(_key(p.style) for p in predictions):
        places = [i for i, p in enumerate(predictions) if _key(p.style) == style]
        of_image: dict[str, list[int]] = {}
        for place in random.permutation(places).tolist():
            of_image.setdefault(image_key(predictions[place].image), []).append(place)
        most = max(map(len, of_image.values()))
        if 2 * most > len(places):
            return None
        order = [place for group in of_image.values() for place in group]
        for place, source in zip(order, order[most:] + order[:most], strict=True):
            moved[place] = replace(predictions[place], caption=predictions[source].caption)
    return moved


def _key(style: str | None) -> str | None:
    """What the spellings of a style have in common; None for no style."""
    return same_style(style) if style is not None else None

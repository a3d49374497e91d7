"""Caption a split and score it, each style apart, beside a control with shuffled pictures.

The control asks how much of a score the picture earns: every caption is scored against the references of another
picture in the same style. A model that looks at nothing loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ofakit.data import Example
from ofakit.files import write_text
from ofakit.hub import ModelBundle
from ofakit.models.ofa.generation import Hypothesis, generate
from ofakit.models.ofa.inference import prepare_for_inference
from ofakit.preprocessors.image import normalize
from ofakit.reports.gallery import gallery
from ofakit.scores import StyleClassifier, bleu, cider, ptb_tokenize, rouge_l
from ofakit.text.styles import same_style

__all__ = ["Prediction", "caption_batches", "score_predictions", "shuffled", "write_evaluation"]


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
        heard = classifier.predict(ptb_tokenize(list(captions)))
        return [found == same_style(style) for found, style in zip(heard, styles, strict=True)]

    return StyleJudge(obeys, classifier.human_accuracy)


def _styled_captions(examples: Iterable[Example]) -> tuple[list[str], list[str]]:
    """Tokenized captions by people and the style of each."""
    pairs = [(text, e.style) for e in examples if e.style for text in (e.references or (e.text,)) if text]
    return ptb_tokenize([text for text, _ in pairs]), [same_style(style) for _, style in pairs]


@dataclass(frozen=True)
class Prediction:
    """A caption beside what it is measured by.

    Attributes:
        id: The example's.
        image: The picture's path, or None.
        style: The style asked for, or None.
        caption: What the model wrote.
        score: Its length-normalised log-probability.
        references: What people wrote.
    """

    id: str
    image: str | None
    style: str | None
    caption: str
    score: float
    references: tuple[str, ...]


def caption_batches(
    bundle: ModelBundle, batches: Iterable[Mapping[str, Any]], device: torch.device, precision: str = "fp32"
) -> Iterable[tuple[int, str, float]]:
    """Caption every picture of every batch.

    Args:
        bundle: The model with its tokenizer and generation settings.
        batches: As made by the collator.
        device: Where the model is.
        precision: What generation computes in.

    Yields:
        The example's position in its data set, the caption and its score.
    """
    settings = bundle.generation.model_dump()
    model = prepare_for_inference(bundle.model, precision)
    for batch in batches:
        inputs = {
            "input_ids": batch["input_ids"].to(device),
            "patch_images": normalize(batch["patch_images"], bundle.preprocessor.mean_std, device=device),
            "patch_masks": batch["patch_masks"].to(device),
        }
        hypotheses = generate(model, inputs, **settings)
        best = [found[0] if found else Hypothesis([], float("-inf")) for found in hypotheses]
        captions = bundle.tokenizer.decode_batch([hypothesis.tokens for hypothesis in best])
        for index, caption, hypothesis in zip(batch["index"].tolist(), captions, best, strict=True):
            yield index, caption.strip(), float(hypothesis.score)


def score_predictions(predictions: Sequence[Prediction], judge: StyleJudge | None, seed: int = 0) -> dict[str, float]:
    """BLEU, ROUGE-L and CIDEr over all captions and over each style, style accuracy, and CIDEr of the control.

    Args:
        predictions: At least one.
        judge: Says of each caption whether it is in the style beside it; None leaves style accuracy out.
        seed: Of the control's permutation.

    Returns:
        The scores by name: `cider` from 0 to 10, the others from 0 to 1; those of a style as `<style>/<score>`.
    """
    scores = _text_scores(predictions)
    control = shuffled(predictions, seed)
    if control is not None:
        scores["cider_shuffled"] = _cider(control)
    styles = sorted({p.style for p in predictions if p.style is not None})
    styled = [p for p in predictions if p.style is not None]
    obeyed = judge.obeys([p.caption for p in styled], [p.style for p in styled]) if judge and styled else None
    if obeyed is not None:
        scores["style_accuracy"] = float(np.mean(obeyed))
        scores["style_accuracy_of_people"] = judge.human_accuracy
    for style in styles if len(styles) > 1 else []:
        of_style = [p for p in predictions if p.style == style]
        scores |= {f"{style}/{name}": value for name, value in _text_scores(of_style).items()}
        control_of_style = shuffled(of_style, seed)
        if control_of_style is not None:
            scores[f"{style}/cider_shuffled"] = _cider(control_of_style)
        if obeyed is not None:
            hits = [hit for p, hit in zip(styled, obeyed, strict=True) if p.style == style]
            scores[f"{style}/style_accuracy"] = float(np.mean(hits))
    return {**scores, "captions": len(predictions)}


def _text_scores(predictions: Sequence[Prediction]) -> dict[str, float]:
    candidates, references = _tokenized(predictions)
    scores = {f"bleu{order}": score.corpus for order, score in enumerate(bleu(candidates, references), start=1)}
    scores["rouge_l"] = rouge_l(candidates, references).corpus
    scores["cider"] = cider(candidates, references).corpus
    return {name: float(value) for name, value in scores.items()}


def _cider(predictions: Sequence[Prediction]) -> float:
    return float(cider(*_tokenized(predictions)).corpus)


def _tokenized(predictions: Sequence[Prediction]) -> tuple[list[str], list[list[str]]]:
    candidates = ptb_tokenize([p.caption for p in predictions])
    return candidates, [ptb_tokenize(list(p.references)) for p in predictions]


def shuffled(predictions: Sequence[Prediction], seed: int) -> list[Prediction] | None:
    """Every caption moved to another picture of the same style; None where a style has only one picture.

    Generating from a wrong picture in the same style gives just the caption that picture already has, so nothing is
    generated again.

    Args:
        predictions: The captions of a split.
        seed: Of the permutation.
    """
    random = np.random.default_rng(seed)
    moved = list(predictions)
    for style in {p.style for p in predictions}:
        places = [i for i, p in enumerate(predictions) if p.style == style]
        if len({predictions[i].image for i in places}) < 2:
            return None
        order = random.permutation(places).tolist()
        for place, source in zip(order, order[1:] + order[:1], strict=True):
            own = predictions[place]
            moved[place] = Prediction(
                own.id, own.image, own.style, predictions[source].caption, own.score, own.references
            )
    return moved


def write_evaluation(folder: Path, split: str, scores: Mapping[str, Any], predictions: Sequence[Prediction]) -> None:
    """Write `<split>.json`, `<split>.predictions.jsonl` and the page `<split>.html`.

    Args:
        folder: The folder `eval` of a run.
        split: The split's name.
        scores: What was measured.
        predictions: The captions.
    """
    lines = (json.dumps(asdict(p), ensure_ascii=False) for p in predictions)
    write_text(folder / f"{split}.predictions.jsonl", "".join(line + "\n" for line in lines))
    write_text(folder / f"{split}.html", gallery(f"{folder.parent.name}: {split}", scores, predictions))
    write_text(folder / f"{split}.json", json.dumps(dict(scores), indent=1, ensure_ascii=False) + "\n")

"""From a batch to captions, as pipelines, evaluation and teachers all make them.

captions = write_captions(model, bundle, batch, bundle.generation.model_dump())
captions[0][0].text, captions[0][0].score
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ofakit.hub import ModelBundle
from ofakit.models.generation.generate import generate
from ofakit.preprocessors.image import normalize

__all__ = ["Caption", "Judge", "write_captions"]

Judge = Callable[[Any, Mapping[str, Any], Sequence[str | None], Sequence[Sequence[str]]], list[list[float]]]
"""(model, its inputs, the style of each image, the captions of each) -> what each caption is worth."""


class Caption(NamedTuple):
    """A hypothesis as text.

    Attributes:
        text: Without white space around.
        score: Its length-normalised log-probability.
        p_yes: How sure the model is that the caption fits image and style, in [0, 1]; None where it was not asked.
    """

    text: str
    score: float
    p_yes: float | None = None


def write_captions(
    model: Any,
    bundle: ModelBundle,
    batch: Mapping[str, Any],
    settings: Mapping[str, Any],
    styles: Sequence[str | None] = (),
    judge: Judge | None = None,
) -> list[list[Caption]]:
    """Caption every image of a batch.

    Args:
        model: That of the bundle, or what `prepare_for_inference` made of it.
        bundle: Tokenizer and preprocessing.
        batch: As made by the collator, on any device.
        settings: The section `generation`; may have `num_return_sequences`.
        styles: Of each image; needed with a judge.
        judge: Orders the hypotheses instead of their score: of `num_beams` of them, or as many samples, those that it
            finds worth most come first; of equal ones the one with the better score.

    Returns:
        For each image its captions, best first; none where the model gave NaN.
    """
    inputs = _inputs(batch, bundle.preprocessor.mean_std, model.output_embedding.device)
    how = {name: value for name, value in settings.items() if name != "rerank"}
    wanted = how.get("num_return_sequences", 1)
    if judge is not None:
        how["num_return_sequences"] = max(how["num_beams"], wanted)
    decode = bundle.tokenizer.decode
    found = [[Caption(decode(h.tokens).strip(), float(h.score)) for h in of] for of in generate(model, inputs, **how)]
    if judge is None:
        return found
    worth = judge(model, inputs, styles, [[caption.text for caption in of] for of in found])
    judged = [[c._replace(p_yes=p) for c, p in zip(of, ps, strict=True)] for of, ps in zip(found, worth, strict=True)]
    return [sorted(of, key=lambda caption: -caption.p_yes)[:wanted] for of in judged]


def _inputs(batch: Mapping[str, Any], mean_std: str, device: Any) -> dict[str, Any]:
    """What the model's encoder takes of a batch."""
    return {
        "input_ids": batch["input_ids"].to(device),
        "patch_images": normalize(batch["patch_images"], mean_std, device=device),
        "patch_masks": batch["patch_masks"].to(device),
    }

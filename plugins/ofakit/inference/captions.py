"""From a batch to captions, as pipelines, evaluation and teachers all make them.

captions = write_captions(model, bundle, batch, bundle.generation.model_dump())
captions[0][0].text, captions[0][0].score
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ofakit.hub import CaptionBundle
from ofakit.inference.reranking import Reranker, reranker_of
from ofakit.models.generation import generate
from ofakit.preprocessors.batches import move_batch

__all__ = ["Caption", "caption_batches", "write_captions"]


class Caption(NamedTuple):
    """A hypothesis as text.

    Attributes:
        text: Without white space around.
        score: Its length-normalised log-probability.
        p_yes: How sure the model is that the caption fits image and style, in [0, 1]; None if it was not asked.
    """

    text: str
    score: float
    p_yes: float | None = None


NOTHING = Caption("", float("-inf"))
"""Stands for the caption of an image for which the model gave NaN."""


def write_captions(
    model: Any,
    bundle: CaptionBundle,
    batch: Mapping[str, Any],
    settings: Mapping[str, Any],
    styles: Sequence[str | None] = (),
    reranker: Reranker | None = None,
) -> list[list[Caption]]:
    """Caption every image of a batch.

    Args:
        model: That of the bundle, or what `prepare_for_inference` made of it.
        bundle: Tokenizer and preprocessing.
        batch: As made by the collator, on any device.
        settings: The section `generation`; may have `num_return_sequences`.
        styles: Of each image; needed with a reranker.
        reranker: Orders the hypotheses instead of their score: of `num_beams` of them, or as many samples, those that
            it is surest of come first; of equal ones the one with the better score.

    Returns:
        For each image its captions, best first; none where the model gave NaN.
    """
    inputs = move_batch(batch, model.output_embedding.device, bundle.mean_std)
    how = {name: value for name, value in settings.items() if name != "rerank"}
    wanted = how.get("num_return_sequences", 1)
    if reranker is not None:
        how["num_return_sequences"] = max(how["num_beams"], wanted)
    texts = bundle.codec().texts
    found = [
        [Caption(text, float(h.score)) for text, h in zip(texts([h.tokens for h in of]), of, strict=True)]
        for of in generate(model, inputs, **how)
    ]
    if reranker is None:
        return found
    sure = reranker(model, inputs, styles, [[caption.text for caption in of] for of in found])
    asked = [[c._replace(p_yes=p) for c, p in zip(of, ps, strict=True)] for of, ps in zip(found, sure, strict=True)]
    return [sorted(of, key=lambda caption: -(caption.p_yes or 0.0))[:wanted] for of in asked]


def caption_batches(
    bundle: CaptionBundle,
    batches: Iterable[Mapping[str, Any]],
    styles: Sequence[str | None],
    precision: str = "fp32",
) -> Iterator[tuple[int, list[Caption], str | None]]:
    """Caption every image of every batch.

    Args:
        bundle: The model, on its device, with its tokenizer and generation settings.
        batches: As made by the collator.
        styles: Of each example, by its position in the data set.
        precision: What generation computes in.

    Yields:
        The example's position in its data set; all hypotheses of a beam search, or the one sample, best first; and what
        would be the caption without reranking, or None where nothing is reranked.

    Raises:
        UsageError: Hypotheses are to be reranked by a model that was not trained for it.
    """
    settings = bundle.generation.model_dump()
    reranker = reranker_of(bundle, bundle.generation.rerank)
    if reranker is not None or not settings["do_sample"]:
        settings["num_return_sequences"] = settings["num_beams"]
    model = bundle.model.prepare_for_inference(precision)
    for batch in batches:
        positions = batch["index"].tolist()
        found = write_captions(model, bundle, batch, settings, [styles[index] for index in positions], reranker)
        for index, captions in zip(positions, found, strict=True):
            captions = captions or [NOTHING]
            first = None if reranker is None else max(captions, key=lambda caption: caption.score).text
            yield index, captions, first

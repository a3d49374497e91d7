"""Reorders the captions of an image by the model's confidence that they match it.

    ranked = rerank(bundle, ["dog.jpg"], ["pirate"], [["a dog arr", "a cat arr"]])

The model must have been trained with the objective `itm`. A `Reranker` orders the hypotheses of a batch while it is
captioned (`generation.rerank`, `tools/caption.py --rerank itm`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.errors import UsageError, did_you_mean
from ofakit.hub import CaptionBundle
from ofakit.inference.matching import YES, answer_logits, answer_tokens, question, wording_of
from ofakit.models.modes import evaluation_mode
from ofakit.preprocessors.batches import move_batch
from ofakit.preprocessors.caption import CaptionPreprocessor
from ofakit.preprocessors.collate import Collate

__all__ = ["Reranker", "rerank", "reranker_of"]

logger = logging.getLogger(__name__)


class Reranker:
    """Says how surely each caption of an image fits.

    Args:
        bundle: A model that was trained with the objective `itm`.
        max_length: Tokens of a caption.

    Raises:
        UsageError: The model was trained without this objective, or the answers cannot be told apart.
    """

    def __init__(self, bundle: CaptionBundle, max_length: int = 60) -> None:
        if bundle.objectives is None:
            logger.warning("rerank: the model does not record its objectives; without itm its p(yes) is noise")
        elif "itm" not in bundle.objectives:
            raise UsageError(
                f"rerank: expected a model that was trained with the objective itm, found one that was trained with "
                f'{", ".join(bundle.objectives)}; add {{"type": "itm"}} to its objectives, or set '
                "generation.rerank to null (--rerank none)"
            )
        self.codec, self.wording, self.max_length = bundle.codec(), wording_of(bundle.model), max_length
        self.answers = answer_tokens(bundle.tokenizer, self.wording)

    def __call__(
        self,
        model: Any,
        inputs: Mapping[str, Tensor],
        styles: Sequence[str | None],
        captions: Sequence[Sequence[str]],
    ) -> list[list[float]]:
        """Ask about every caption of every image in one pass; the backbone sees each image once.

        Args:
            model: The model, or what `prepare_for_inference` made of it; it is left in the mode it was in.
            inputs: What it sees of the images, on its device: `patch_images` (B, 3, H, W), normalised, and
                `patch_masks` (B,); or regions, as a batch has them.
            styles: Of each image, or None.
            captions: Of each image; their numbers may differ.

        Returns:
            For each image the p(yes) of its captions, in [0, 1].
        """
        counts = [len(of_image) for of_image in captions]
        if not sum(counts):
            return [[] for _ in counts]
        questions = [
            question(self.codec, text, style, self.max_length, self.wording)
            for style, of_image in zip(styles, captions, strict=True)
            for text in of_image
        ]
        device = model.output_embedding.device
        ids = pad_sequence(questions, True, self.codec.tokenizer.pad_token_id).to(device)
        of_image = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(device)
        asked = {**model.seen_by_texts(inputs, of_image), "input_ids": ids}
        with evaluation_mode(model, gradients=False):
            p_yes = answer_logits(model, asked, self.answers).softmax(-1)[:, YES]
        return [found.tolist() for found in p_yes.split(counts)]


def reranker_of(bundle: CaptionBundle, name: str | None) -> Reranker | None:
    """What `generation.rerank` names.

    Args:
        bundle: The model.
        name: "itm", or None for none.

    Raises:
        UsageError: Another name, or a model that was not trained for it.
    """
    if name not in (None, "itm"):
        raise UsageError(f"unknown generation.rerank {name!r}: {did_you_mean(str(name), ['itm'])}")
    return None if name is None else Reranker(bundle)


def rerank(
    bundle: CaptionBundle,
    images: Sequence[Any],
    styles: Sequence[str | None],
    hypotheses: Sequence[Sequence[str]],
    max_length: int = 60,
) -> list[list[tuple[str, float]]]:
    """Order given captions of each image by the probability that the model says yes to them.

    Args:
        bundle: A model that was trained with the objective `itm`.
        images: One per caption list: path, bytes or PIL image.
        styles: One per image, or None.
        hypotheses: The captions of each image.
        max_length: Tokens of a caption.

    Returns:
        For each image its captions with their p(yes), the likeliest first; of equal ones the earlier first.

    Raises:
        UsageError: The lists differ in length, or as for `Reranker`.
    """
    if not len(images) == len(styles) == len(hypotheses):
        raise UsageError(
            f"rerank: expected as many images, styles and lists of captions, found {len(images)}, {len(styles)} and "
            f"{len(hypotheses)}"
        )
    reranker, collate = Reranker(bundle, max_length), Collate(bundle.tokenizer.pad_token_id)
    preprocessor = CaptionPreprocessor.of(bundle)
    ranked = []
    for image, style, captions, seen in zip(images, styles, hypotheses, preprocessor.look(images), strict=True):
        batch = collate([preprocessor({"image": image, "style": style}, seen=seen)])
        inputs = move_batch(batch, bundle.model.device, bundle.mean_std)
        (found,) = reranker(bundle.model, inputs, [style], [captions])
        ranked.append(sorted(zip(captions, found, strict=True), key=lambda pair: -pair[1]))
    return ranked

"""Shared by objectives with a view of their own: the caption to learn from an example, and the loss of a view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ofakit.objectives._projection import target_places
from ofakit.objectives.cross_entropy import label_smoothed_cross_entropy

__all__ = ["caption_of", "view_loss"]


def caption_of(example: Any, rng: np.random.Generator) -> str:
    """The caption to learn from an example, or one of its references.

    Args:
        example: An example with `text` or `references`.
        rng: Draws the reference.
    """
    return example.text if example.text is not None else example.references[int(rng.integers(len(example.references)))]


def view_loss(
    model: Any,
    batch: Mapping[str, Tensor],
    name: str,
    with_image: bool,
    pad_token_id: int,
    label_smoothing: float,
    scale: float,
) -> tuple[Tensor, Tensor]:
    """Cross entropy of the view `name`, and the sum of its negative log-likelihoods.

    Without images the encoder reads only the text, which gives the same numbers as a missing image at less cost.

    Args:
        model: A model that generates.
        batch: A batch with `<name>/input_ids`, `<name>/decoder_input_ids` and `<name>/target`.
        name: The name of the objective.
        with_image: Whether the encoder also sees the image.
        pad_token_id: The id that texts are padded with.
        label_smoothing: As in cross entropy.
        scale: Factor on both results.
    """
    target = batch[f"{name}/target"]
    there = target_places(target, pad_token_id)
    images = model.encoder_inputs(batch) if with_image else {}
    encoded = model.encode(**{**images, "input_ids": batch[f"{name}/input_ids"]})
    hidden = model.decode(decoder_input_ids=batch[f"{name}/decoder_input_ids"], encoder_outputs=encoded)
    return label_smoothed_cross_entropy(
        hidden[there], model.output_embedding, target[there], label_smoothing, scale, model.output_bias
    )

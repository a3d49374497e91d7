"""What objectives with a view of their own share: ids of texts, source and target, and the loss of a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.ofa.inputs import image_inputs
from ofakit.objectives.cross_entropy import label_smoothed_cross_entropy
from ofakit.text.prompts import clean_caption

__all__ = ["TextCodec", "caption_of", "view_loss"]


class TextCodec:
    """Texts to ids as a model's captions are encoded; picklable.

    Args:
        bundle: Its tokenizer, and its preprocessor's cleaning of captions.
    """

    def __init__(self, bundle: Any) -> None:
        section = bundle.preprocessor
        self.tokenizer, self.styles = bundle.tokenizer, bundle.styles
        self.keep_punctuation, self.lowercase = not section.strip_punctuation, section.lowercase
        self.space = " " if section.leading_space else ""
        self._fixed: dict[str, list[int]] = {}

    def caption(self, text: str) -> list[int]:
        """The ids of a caption, cleaned, without bos and eos.

        Args:
            text: The caption.
        """
        cleaned = clean_caption(text, keep_punctuation=self.keep_punctuation, lower_case=self.lowercase)
        return self.tokenizer.encode(self.space + cleaned)

    def fixed(self, text: str) -> list[int]:
        """The ids of a part of a prompt, which are remembered.

        Args:
            text: The part, as it is.
        """
        if text not in self._fixed:
            self._fixed[text] = self.tokenizer.encode(text)
        return self._fixed[text]

    def style(self, style: str | None) -> str:
        """What stands in a prompt for a style.

        Args:
            style: Its name; None counts as unknown.

        Raises:
            UsageError: The model knows no styles.
        """
        if self.styles is None:
            raise UsageError("this objective puts a style in its prompt, and the experiment has none (style.mode)")
        return self.styles.text(style or None)

    def source(self, before: str, ids: Sequence[int], after: str) -> Tensor:
        """A prompt with ids spliced in, bos and eos around.

        Args:
            before: Text before the ids.
            ids: What is spliced in.
            after: Text behind them.

        Returns:
            (T,) int64.
        """
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return torch.tensor([bos, *self.fixed(before), *ids, *self.fixed(after), eos])

    def target(self, ids: Sequence[int]) -> dict[str, Tensor]:
        """`target` (U,), with eos, and `decoder_input_ids` (U,), the same moved right behind bos.

        Args:
            ids: Of the text.
        """
        bos, eos = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        return {"target": torch.tensor([*ids, eos]), "decoder_input_ids": torch.tensor([bos, *ids])}


def caption_of(example: Any, rng: np.random.Generator) -> str:
    """The caption that an example teaches, or one of its references.

    Args:
        example: With `text` or `references`.
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
    """Cross entropy of the view called `name`, and its sum of negative log-likelihoods.

    Without images the encoder reads the text alone, which gives the numbers of a missing image at less cost.

    Args:
        model: An `OFAModel`.
        batch: With `<name>/input_ids`, `<name>/decoder_input_ids` and `<name>/target`.
        name: The objective's.
        with_image: Whether the encoder sees the image, too.
        pad_token_id: What texts are padded with.
        label_smoothing: As in cross entropy.
        scale: Factor on both results.
    """
    images = image_inputs(batch) if with_image else {}
    encoded = model.encode(input_ids=batch[f"{name}/input_ids"], **images)
    hidden = model.decode(decoder_input_ids=batch[f"{name}/decoder_input_ids"], encoder_outputs=encoded)
    target = batch[f"{name}/target"]
    there = target != pad_token_id
    return label_smoothed_cross_entropy(hidden[there], model.output_embedding, target[there], label_smoothing, scale)

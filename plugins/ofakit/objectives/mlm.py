"""Whole-word masked language modelling: the encoder reads a caption with holes, the decoder says the whole.

    {"type": "mlm", "weight": 0.5, "ratio": 0.3, "poisson_lambda": 3.0, "replace_length": 1, "random_ratio": 0.0}

The source is ` what is the complete text of " {} "?` with the masked ids between the quotes; no image is seen.
Source: OFA-Sys/OFA `data/pretrain_data/unify_dataset.py` (pure text), where the weight is 2; the masking is that of
`ofakit.text.masking`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.objectives._views import caption_of, view_loss
from ofakit.objectives.base import Objective
from ofakit.text.codec import TextCodec
from ofakit.text.masking import mask_whole_words

__all__ = ["MLM"]

BEFORE, AFTER = ' what is the complete text of "', ' "?'


class MLM(Objective):
    """Cross entropy of whole captions given masked ones.

    Args:
        ratio: Share of the words to mask, in [0, 1].
        poisson_lambda: Mean span length in words; 0 masks single words.
        replace_length: 1 puts one `<mask>` for a span, 0 deletes it, -1 puts one for each of its tokens.
        random_ratio: Share of the spans that random tokens replace.
        max_length: Tokens of the text; of a longer one the last are taken, as OFA does.
        label_smoothing: As in cross entropy.
        pad_token_id: What targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of its range.
    """

    model_kind = Seq2SeqModel

    name = "mlm"
    with_image = False

    def __init__(
        self,
        ratio: float = 0.3,
        poisson_lambda: float = 3.0,
        replace_length: int = 1,
        random_ratio: float = 0.0,
        max_length: int = 256,
        label_smoothing: float = 0.0,
        pad_token_id: int = 1,
    ) -> None:
        if not 0 <= label_smoothing < 1 or max_length < 1:
            raise UsageError(
                f"{self.name}: expected label_smoothing of at least 0 and under 1 and max_length of at least 1, found "
                f"{label_smoothing} and {max_length}"
            )
        self.masking: dict[str, Any] = {
            "ratio": ratio,
            "poisson_lambda": poisson_lambda,
            "replace_length": replace_length,
        }
        self.random_ratio, self.max_length, self.label_smoothing = random_ratio, max_length, label_smoothing
        self.pad_token_id = pad_token_id
        self.codec: TextCodec
        self.positions: int | None = None
        mask_whole_words([0, 2], [0, 0], mask_id=3, random_ratio=random_ratio, vocab_range=(4, 5), **self.masking)

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Learn how texts are encoded, and how many tokens the model has positions for.

        Args:
            examples: Not used.
            bundle: Its model, tokenizer and preprocessor.
            work_dir: Not used.
        """
        self.codec = bundle.codec()
        self.positions = getattr(getattr(bundle.model, "config", None), "max_position_embeddings", None)

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A caption with holes as source, the whole as target.

        Of a text that the model has no positions for the last tokens that fit are taken, and of one that outgrows them
        as spans without a word insert `<mask>`, the first.

        Args:
            example: With a caption.
            rng: Draws the holes.

        Returns:
            input_ids (T,), decoder_input_ids (U,) and target (U,), int64.
        """
        before, after = self.around(example)
        room = self._room(before, after)
        ids = self.codec.caption(caption_of(example, rng))[-min(self.max_length, room) :]
        masked = self.masked(ids, example, rng)[:room]
        return {"input_ids": self.codec.source(before, masked, after), **self.codec.target(ids)}

    def _room(self, before: str, after: str) -> int:
        """How many tokens of a text fit between the parts of the prompt, bos and eos."""
        if self.positions is None:
            return self.max_length
        around = len(self.codec.fixed(before)) + len(self.codec.fixed(after)) + 2
        if around >= self.positions:
            raise UsageError(
                f"{self.name}: the prompt takes {around} tokens, the model has {self.positions} positions; it needs "
                "more of them (model.config.max_position_embeddings)"
            )
        return self.positions - around

    def around(self, example: Any) -> tuple[str, str]:
        """The prompt before the caption and behind it.

        Args:
            example: The example.
        """
        return BEFORE, AFTER

    def masked(self, ids: list[int], example: Any, rng: np.random.Generator) -> list[int]:
        """The ids of a caption with holes.

        Args:
            ids: Of the caption, without bos and eos.
            example: The example.
            rng: Draws the holes.
        """
        tokenizer = self.codec.tokenizer
        whole = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
        masked = mask_whole_words(
            whole,
            tokenizer.word_starts(whole),
            mask_id=tokenizer.mask_token_id,
            random_ratio=self.random_ratio,
            vocab_range=(tokenizer.unk_token_id + 1, tokenizer.mask_token_id),
            generator=rng,
            **self.masking,
        )
        return masked[1:-1]

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of target tokens.

        Args:
            batch: With the view's `target`.
        """
        return int((batch[f"{self.name}/target"] != self.pad_token_id).sum())

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        Args:
            model: A model that generates.
            batch: With the view.
            normalizer: Target tokens of all micro-batches and processes that make one update.
            step: Not used.

        Returns:
            The loss, and the logs `loss` and `nll`, a token.
        """
        loss, nll = view_loss(
            model, batch, self.name, self.with_image, self.pad_token_id, self.label_smoothing, 1 / normalizer
        )
        return loss, {"loss": loss.detach(), "nll": nll}

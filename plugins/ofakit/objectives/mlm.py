"""Whole-word masked language modelling: the encoder reads a masked caption, the decoder writes the whole caption.

    {"type": "mlm", "weight": 0.5, "ratio": 0.3, "poisson_lambda": 3.0, "replace_length": 1, "random_ratio": 0.0}

The source is ` what is the complete text of " {} "?` with the masked ids between the quotes; the image is not used.
Source: OFA-Sys/OFA `data/pretrain_data/unify_dataset.py` (pure text), where the weight is 2; the masking is that of
`ofakit.text.masking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ofakit.objectives._view_objective import ViewObjective
from ofakit.objectives._views import caption_of
from ofakit.text.masking import mask_whole_words

__all__ = ["MLM"]

BEFORE, AFTER = ' what is the complete text of "', ' "?'


class MLM(ViewObjective):
    """Cross entropy of whole captions given masked ones.

    Args:
        ratio: Share of the words to mask, in [0, 1].
        poisson_lambda: Mean span length in words; 0 masks single words.
        replace_length: 1 puts one `<mask>` for a span, 0 deletes it, -1 puts one for each of its tokens.
        random_ratio: Share of the spans that random tokens replace.
        max_length: Tokens of the text; a longer text is cut to its last tokens, as in OFA.
        label_smoothing: As in cross entropy.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    name = "mlm"
    with_image = False
    needs: Sequence[str] = ("<mask>",)

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
        super().__init__(max_length, label_smoothing, pad_token_id)
        self.masking: dict[str, Any] = {
            "ratio": ratio,
            "poisson_lambda": poisson_lambda,
            "replace_length": replace_length,
        }
        self.random_ratio = random_ratio
        mask_whole_words([0, 2], [0, 0], mask_id=3, random_ratio=random_ratio, vocab_range=(4, 5), **self.masking)

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A masked caption as source, the whole caption as target.

        A text that is too long for the model's positions is cut to the last tokens that fit; if it becomes too long
        because spans without a word insert `<mask>`, it is cut to the first.

        Args:
            example: An example with a caption.
            rng: Draws what is masked.

        Returns:
            input_ids (T,), decoder_input_ids (U,) and target (U,), int64.
        """
        before, after = self.around(example)
        room = self.room(before, after)
        ids = self.codec.caption(caption_of(example, rng))[-min(self.max_length, room) :]
        masked = self.masked(ids, example, rng)[:room]
        return {"input_ids": self.codec.source(before, masked, after), **self.codec.target(ids)}

    def around(self, example: Any) -> tuple[str, str]:
        """The prompt before the caption and after it.

        Args:
            example: The example.
        """
        return BEFORE, AFTER

    def masked(self, ids: list[int], example: Any, rng: np.random.Generator) -> list[int]:
        """The ids of a masked caption.

        Args:
            ids: The ids of the caption, without bos and eos.
            example: The example.
            rng: Draws what is masked.
        """
        tokenizer = self.codec.tokenizer
        whole = [*tokenizer.begin, *ids, tokenizer.eos_token_id]
        masked = mask_whole_words(
            whole,
            tokenizer.word_starts(whole),
            mask_id=tokenizer.mask_token_id,
            random_ratio=self.random_ratio,
            vocab_range=tokenizer.piece_range,
            generator=rng,
            **self.masking,
        )
        return masked[len(tokenizer.begin) : -1]

"""Texts to ids and back, once for preprocessors, objectives and inference: cleaning, prompts, bos, eos, the shift.

    codec = TextCodec(tokenizer, section)
    codec.target(codec.caption("A dog!"))       # {"target": [… eos], "decoder_input_ids": [bos …]}
    codec.source(' what is "', codec.caption("A dog!"), '"?')

Source of the leading space, which ModelScope's code lacks: OFA-Sys/OFA `data/mm_data/example_dataset.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.text.prompts import clean_caption

if TYPE_CHECKING:
    from ofakit.config.schema import PreprocessorSection
    from ofakit.text.styles import StyleSet
    from ofakit.text.tokenizer import OFATokenizer

__all__ = ["TextCodec"]


class TextCodec:
    """Converts texts to ids and back as a model was trained; picklable.

    Args:
        tokenizer: Of the model.
        section: How captions are cleaned.
        styles: What stands in a prompt for a style; None for a model that knows no styles.
    """

    def __init__(self, tokenizer: OFATokenizer, section: PreprocessorSection, styles: StyleSet | None = None) -> None:
        self.tokenizer, self.styles = tokenizer, styles
        self.keep_punctuation, self.lowercase = not section.strip_punctuation, section.lowercase
        self.space = " " if section.leading_space else ""
        self._fixed: dict[str, list[int]] = {}

    def caption(self, text: str) -> list[int]:
        """The ids of a caption, cleaned, without bos and eos; tokens that it spells, such as `</s>`, are text.

        Args:
            text: The caption.
        """
        return self.tokenizer.encode_as_text(self.space + self.cleaned(text))

    def cleaned(self, text: str) -> str:
        """A caption as the model is taught it, without punctuation or capitals where it has none.

        Args:
            text: The caption.
        """
        return clean_caption(text, keep_punctuation=self.keep_punctuation, lower_case=self.lowercase)

    def fixed(self, text: str) -> list[int]:
        """The ids of a prompt or of a part of one, as it is; they are kept.

        Args:
            text: The text.
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
            raise UsageError("this objective puts a style in its prompt, but the experiment has none (style.mode)")
        return self.styles.text(style or None)

    def source(self, before: str, ids: Sequence[int] = (), after: str = "", max_length: int | None = None) -> Tensor:
        """A prompt, possibly with ids spliced in, bos and eos around it.

        Args:
            before: Text before the ids.
            ids: What is spliced in.
            after: Text behind them.
            max_length: At most so many ids, bos and eos included; what is too much goes from the end.

        Returns:
            (T,) int64.
        """
        inside = [*self.fixed(before), *ids, *(self.fixed(after) if after else [])]
        if max_length is not None:
            inside = inside[: max_length - 2]
        return self._whole(inside)

    def target(self, ids: Sequence[int]) -> dict[str, Tensor]:
        """What a decoder shall say, and what it reads to say it.

        Args:
            ids: Of the text.

        Returns:
            `target` (U,) int64, with eos, and `decoder_input_ids` (U,), the same moved right behind bos.
        """
        whole = self._whole(ids)
        return {"target": whole[1:], "decoder_input_ids": whole[:-1]}

    def texts(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """What generated sequences say, without white space around.

        Args:
            sequences: Token ids, with eos or without.
        """
        return [text.strip() for text in self.tokenizer.decode_batch(sequences)]

    def _whole(self, ids: Sequence[int]) -> Tensor:
        # NumPy takes a short list to memory in a tenth of the time of torch.tensor.
        return torch.from_numpy(np.array([self.tokenizer.bos_token_id, *ids, self.tokenizer.eos_token_id], np.int64))

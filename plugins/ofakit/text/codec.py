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
    from ofakit.text.base_tokenizer import BaseTokenizer
    from ofakit.text.styles import StyleSet

__all__ = ["TextCodec"]


class TextCodec:
    """Converts texts to ids and back as a model was trained; picklable.

    Args:
        tokenizer: Of the model.
        section: How captions are cleaned.
        styles: What stands in a prompt for a style; None for a model that knows no styles.
    """

    def __init__(self, tokenizer: BaseTokenizer, section: PreprocessorSection, styles: StyleSet | None = None) -> None:
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

    @property
    def around(self) -> int:
        """How many tokens stand around a text that an encoder reads: bos, where there is one, and eos."""
        return len(self.tokenizer.begin) + 1

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
        """A prompt, possibly with ids spliced in, bos (where there is one) and eos around it.

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
            inside = inside[: max_length - self.around]
        return _tensor([*self.tokenizer.begin, *inside, self.tokenizer.eos_token_id])

    def target(self, ids: Sequence[int]) -> dict[str, Tensor]:
        """What a decoder shall say, and what it reads to say it.

        Args:
            ids: Of the text.

        Returns:
            `target` (U,) int64, with eos, and `decoder_input_ids` (U,), the same moved right behind the start token:
            bos, or pad in a vocabulary without it.
        """
        whole = _tensor([self.tokenizer.start_token_id, *ids, self.tokenizer.eos_token_id])
        return {"target": whole[1:], "decoder_input_ids": whole[:-1]}

    def texts(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """What generated sequences say, without white space around.

        Args:
            sequences: Token ids, with eos or without.
        """
        return [text.strip() for text in self.tokenizer.decode_batch(sequences)]


def _tensor(ids: Sequence[int]) -> Tensor:
    # NumPy takes a short list to memory in a tenth of the time of torch.tensor.
    return torch.from_numpy(np.array(ids, np.int64))

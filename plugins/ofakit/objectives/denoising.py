"""BART's denoising with the image: the encoder reads a caption with masked spans, the decoder writes the whole caption.

    {"type": "denoising", "weight": 1.0, "ratio": 0.3}

The source is `denoise text:` and the caption with a `<mask>` for every removed span of words, together with the image
or its regions. Source: j-min/VL-T5 `VL-T5/src/pretrain_data.py` and `preprocess.py` (`corrupt_bart`), VL-BART's ratio.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.objectives._view_objective import ViewObjective
from ofakit.objectives._views import caption_of
from ofakit.text.span_corruption import corrupt_spans

__all__ = ["Denoising"]


class Denoising(ViewObjective):
    """Cross entropy of whole captions given the image and a caption with masked spans.

    Args:
        ratio: Share of the words to mask, in [0, 1], at least one word; None: VL-BART's 0.3.
        prompt: Text before the caption; None: `denoise text:`.
        max_length: Maximum number of words of the caption, and of tokens of source and target.
        label_smoothing: As in cross entropy.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    name = "denoising"
    needs: Sequence[str] = ("<mask>",)
    usual_ratio, usual_prompt = 0.3, "denoise text:"

    def __init__(
        self,
        ratio: float | None = None,
        prompt: str | None = None,
        max_length: int = 256,
        label_smoothing: float = 0.0,
        pad_token_id: int = 1,
    ) -> None:
        super().__init__(max_length, label_smoothing, pad_token_id)
        self.ratio = self.usual_ratio if ratio is None else ratio
        self.prompt = self.usual_prompt if prompt is None else prompt
        if not 0 <= self.ratio <= 1:
            raise UsageError(f"{self.name}: expected a ratio in [0, 1], found {ratio}")

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A caption with masked spans as source, the whole caption as target.

        Args:
            example: An example with a caption.
            rng: Draws the words that are masked.

        Returns:
            input_ids (T,), decoder_input_ids (U,) and target (U,), int64.
        """
        words = self.words(example, rng)
        source, _ = corrupt_spans(words, rng.permutation(len(words)).tolist(), self.ratio)
        return self.asked(self.ids(source, self.needed * len(words)), self.ids(words))

    def words(self, example: Any, rng: np.random.Generator) -> list[str]:
        """The words of an example's caption.

        Args:
            example: An example with a caption.
            rng: Draws one, if there are several.
        """
        return self.codec.cleaned(caption_of(example, rng)).split()[: self.max_length]

    def asked(self, source: Sequence[int], target: Sequence[int]) -> dict[str, Tensor]:
        """The view of a source and a target, cut to the positions that the model has.

        Args:
            source: Ids after the prompt.
            target: Ids to write.
        """
        room = min(self.room(self.prompt), self.max_length)
        shown = self.codec.source(self.prompt, source[:room])
        return {"input_ids": shown, **self.codec.target(target[: min(self.room(""), self.max_length)])}

    def ids(self, pieces: Sequence[str | int], spans: Sequence[int] = ()) -> list[int]:
        """The ids of words and spans.

        Args:
            pieces: From `corrupt_spans`.
            spans: The id that stands for each span.
        """
        ids: list[int] = []
        for are_words, stretch in itertools.groupby(pieces, lambda piece: isinstance(piece, str)):
            if are_words:
                ids += self.codec.caption(" ".join(map(str, stretch)))
            else:
                ids += [spans[int(number)] for number in stretch]
        return ids

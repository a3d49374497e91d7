"""T5's span corruption with the image: the decoder writes the words that are missing from a caption.

    {"type": "span_corruption", "weight": 1.0, "ratio": 0.15}

The source is `span prediction:` and the caption with `<extra_id_0>`, `<extra_id_1>` and so on in place of spans of
words; the target contains each of them followed by its words. They are added to a vocabulary without them, such as
OFA's.
Source: j-min/VL-T5 `VL-T5/src/pretrain_data.py` and `preprocess.py` (`corrupt_spans`), VL-T5's ratio.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ofakit.objectives.denoising import Denoising
from ofakit.text.span_corruption import SENTINEL, corrupt_spans

__all__ = ["SpanCorruption"]

SPANS = 100
"""The number of spans that T5 has tokens for; the words of further spans are not masked."""


class SpanCorruption(Denoising):
    """Cross entropy of the masked spans of captions given the image and the rest of the caption.

    Args:
        ratio: Share of the words to mask, in [0, 1], at least one word; None: VL-T5's 0.15.
        prompt: Text before the caption; None: `span prediction:`.
        max_length: Maximum number of words of the caption, and of tokens of source and target.
        label_smoothing: As in cross entropy.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    name = "span_corruption"
    needs = tuple(SENTINEL.format(number) for number in range(SPANS))
    usual_ratio, usual_prompt = 0.15, "span prediction:"

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A caption without some spans of words as source, the spans as target.

        Args:
            example: An example with a caption.
            rng: Draws the words that are masked.

        Returns:
            input_ids (T,), decoder_input_ids (U,) and target (U,), int64.
        """
        words = self.words(example, rng)
        order = rng.permutation(len(words)).tolist()
        source, target = corrupt_spans(words, order, self.ratio, most=SPANS)
        return self.asked(self.ids(source, self.needed), self.ids(target, self.needed))

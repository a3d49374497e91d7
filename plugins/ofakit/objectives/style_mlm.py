"""Style MLM: the words that carry the style are masked, to be predicted from the image and the style token.

    {"type": "style_mlm", "weight": 0.5, "ratio": 0.3, "top": 200}

The source is ` what is the complete text of " {} " in personality {}?`. The words that carry a style are found by the
log-odds between the styles over the training captions (`ofakit.text.style_words`; `tools/data.py style-words` lists
them). They are masked first, strongest first; the rest of the budget ceil(words * ratio) goes to words drawn at random.
The token of the style is in the prompt and is never masked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.errors import UsageError
from ofakit.objectives.mlm import BEFORE, MLM
from ofakit.text.style_words import captions_by_style, style_words, words
from ofakit.text.styles import same_style

__all__ = ["StyleMLM"]

ROUNDING = 1e-6


class StyleMLM(MLM):
    """Cross entropy of whole captions given the image, the style and a caption without its style words.

    Args:
        ratio: Share of the words to mask, in [0, 1].
        replace_length: 1 puts one `<mask>` for a word, -1 one for each of its tokens.
        top: Maximum number of style words per style.
        min_score: z-score of the log-odds from which a word is a style word.
        max_length: Tokens of the text.
        label_smoothing: As in cross entropy.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    name = "style_mlm"
    with_image = True

    def __init__(
        self,
        ratio: float = 0.3,
        replace_length: int = 1,
        top: int = 200,
        min_score: float = 1.0,
        max_length: int = 256,
        label_smoothing: float = 0.0,
        pad_token_id: int = 1,
    ) -> None:
        if replace_length not in (-1, 1):
            raise UsageError(f"style_mlm: expected replace_length -1 or 1, found {replace_length}")
        super().__init__(ratio, 0.0, replace_length, 0.0, max_length, label_smoothing, pad_token_id)
        self.top, self.min_score = top, min_score
        self.scores: dict[str, dict[str, float]] = {}

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Find the words that carry each style.

        Args:
            examples: The training examples.
            bundle: Tokenizer, styles and preprocessor.
            work_dir: Not used.

        Raises:
            UsageError: There are fewer than two styles.
        """
        super().prepare(examples, bundle, work_dir)
        found = style_words(captions_by_style(examples), self.top, min_score=self.min_score)
        self.scores = {style: dict(pairs) for style, pairs in found.items()}

    def around(self, example: Any) -> tuple[str, str]:
        """The prompt before the caption and after it, with the style.

        Args:
            example: An example with a style.
        """
        return BEFORE, f' " in personality {self.codec.style(example.style)}?'

    def masked(self, ids: list[int], example: Any, rng: np.random.Generator) -> list[int]:
        """The caption without its style words, and without other words up to the budget.

        Args:
            ids: The ids of the caption, without bos and eos.
            example: An example with a style.
            rng: Draws the other words, and chooses among equally strong ones.
        """
        tokenizer = self.codec.tokenizer
        starts = tokenizer.word_starts(ids)
        first = np.flatnonzero(starts == 1)
        if not len(first):
            return ids
        ends = [next((k for k in range(b + 1, len(ids)) if starts[k] != 0), len(ids)) for b in first]
        scores = self.scores.get(same_style(example.style or ""), {})
        spans = [(int(begin), end) for begin, end in zip(first, ends, strict=True)]
        strength = [self._strength(tokenizer.decode(ids[b:e]), scores) for b, e in spans]
        order = sorted(rng.permutation(len(spans)), key=lambda k: -strength[k])
        budget = math.ceil(len(spans) * self.masking["ratio"] - ROUNDING)
        gone = {spans[k][0]: spans[k][1] for k in order[:budget]}
        kept: list[int] = []
        place = 0
        while place < len(ids):
            end = gone.get(place)
            one = self.masking["replace_length"] == 1
            kept += [ids[place]] if end is None else [self.needed[0]] * (1 if one else end - place)
            place = place + 1 if end is None else end
        return kept

    def _strength(self, word: str, scores: dict[str, float]) -> float:
        """How strongly a word carries the style; 0 if it does not."""
        return max((scores.get(part, 0.0) for part in words(word)), default=0.0)

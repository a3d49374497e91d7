"""Image-text matching with style: does the caption match the image and the style?

    {"type": "itm", "weight": 0.6, "no_ratio": 0.25, "personality_ratio": 0.25}

The source is ` does the image describe " {} " in personality {}?` with the image. The answer is ` yes` for the image's
own caption in its own style, ` no` for a caption of another image in that style, and ` personality` for its own caption
with another style named. Only the tokens at which the answers differ compete, usually the first. Without styles, or
with only one, ` personality` is left out and its share goes to ` no`. Models that read regions are asked as VL-T5 is,
with `image text match: {}` and the answers ` true` and ` false`. The questions, and asking them at inference, are in
`ofakit.inference`: `matching` and `reranking`.

Sources: OFA-Sys/OFA `data/pretrain_data/unify_dataset.py` (prompt and answers yes and no); the stylish captioning log
(the third answer, its shares and the weight 0.6).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.inference.matching import (
    NO,
    PERSONALITY,
    YES,
    Answers,
    Wording,
    answer_logits,
    answer_tokens,
    question,
    wording_of,
)
from ofakit.models.base import Seq2SeqModel
from ofakit.objectives._views import caption_of
from ofakit.objectives.base import Objective
from ofakit.text.codec import TextCodec
from ofakit.text.styles import same_style

__all__ = ["ITM"]


class ITM(Objective):
    """Cross entropy over the tokens at which the answers differ.

    Args:
        no_ratio: Share of the questions with another image's caption, in [0, 1].
        personality_ratio: Share of the questions that name another style, in [0, 1].
        max_length: Tokens of the caption.
        pad_token_id: The id that sources are padded with; must be the model's.

    Raises:
        UsageError: The shares are out of range.
    """

    model_kind = Seq2SeqModel

    def __init__(
        self,
        no_ratio: float = 0.25,
        personality_ratio: float = 0.25,
        max_length: int = 60,
        pad_token_id: int = 1,
    ) -> None:
        if min(no_ratio, personality_ratio) < 0 or no_ratio + personality_ratio > 1:
            raise UsageError(
                f"itm: expected shares of at least 0 that add up to at most 1, found no_ratio {no_ratio} and "
                f"personality_ratio {personality_ratio}"
            )
        self.no_ratio, self.personality_ratio = no_ratio, personality_ratio
        self.max_length, self.pad_token_id = max_length, pad_token_id
        self.codec: TextCodec
        self.wording: Wording
        self.answers: Answers
        self.styles: list[str] = []
        self.captions: dict[str | None, list[tuple[Any, str]]] = {}

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Collect the captions that negatives are drawn from.

        Args:
            examples: The training examples.
            bundle: Tokenizer, styles and preprocessor.
            work_dir: Not used.

        Raises:
            UsageError: The answers cannot be distinguished by one token.
        """
        self.codec, self.wording = bundle.codec(), wording_of(bundle.model)
        self.answers = answer_tokens(bundle.tokenizer, self.wording)
        captions: dict[str | None, list[tuple[Any, str]]] = defaultdict(list)
        for example in examples:
            texts = example.references if example.text is None else (example.text,)
            captions[example.style_key] += [(example.image_key, text) for text in texts]
        self.captions = dict(captions)
        names = {same_style(example.style): example.style for example in examples if example.style}
        self.styles = sorted(names.values()) if bundle.styles is not None else []

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A question and the number of its answer.

        Args:
            example: An example with image, caption and style.
            rng: Draws the answer, and the caption or style that makes it the right one.

        Returns:
            input_ids (T,) and answer (), int64: 0 yes, 1 no, 2 personality.
        """
        text, style, answer = caption_of(example, rng), example.style, YES
        others = [name for name in self.styles if same_style(name) != same_style(style or "")]
        share = self.personality_ratio if style and others else 0.0
        draw = rng.random()
        if draw < share:
            style, answer = others[int(rng.integers(len(others)))], PERSONALITY
        elif draw < self.no_ratio + self.personality_ratio:
            negative = self._of_another_image(example, rng)
            text, answer = (text, YES) if negative is None else (negative, NO)
        ids = question(self.codec, text, style, self.max_length, self.wording)
        return {"input_ids": ids, "answer": torch.tensor(answer)}

    def _of_another_image(self, example: Any, rng: np.random.Generator) -> str | None:
        """A caption in the same style of another image; None if there is no other."""
        pool, own = self.captions[example.style_key], example.image_key
        for place in rng.permutation(len(pool))[:100] if len(pool) < 100 else rng.integers(len(pool), size=100):
            image, text = pool[int(place)]
            if image != own and text not in example.references:
                return text
        return None

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of questions.

        Args:
            batch: A batch with the view.
        """
        return len(batch["itm/answer"])

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        Args:
            model: A model that generates.
            batch: A batch with the view, and images as floats.
            normalizer: Questions of all micro-batches and processes that make one update.
            step: Not used.

        Returns:
            The loss, and the logs `loss` and `accuracy`.
        """
        inputs = {**model.encoder_inputs(batch), "input_ids": batch["itm/input_ids"]}
        logits = answer_logits(model, inputs, self.answers)
        answer = batch["itm/answer"]
        loss = F.cross_entropy(logits, answer, reduction="sum") / normalizer
        right = (logits.argmax(-1) == answer).sum() / normalizer
        return loss, {"loss": loss.detach(), "accuracy": right}

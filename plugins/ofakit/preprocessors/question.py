"""A question about an image becomes the tensors of answering it: question, image, and an answer as target.

    {"preprocessor": {"prompt": "vqa: {}"}}

In training one of the right answers is drawn again in each epoch, as often as it is right, and comes with how right it
is, `score`. The prompt's {} is the question; without a prompt the question stands alone behind a space, as in OFA.

Sources: OFA-Sys/OFA `data/mm_data/vqa_gen_dataset.py`; VL-T5 (https://github.com/j-min/VL-T5) `src/vqa_data.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ofakit.data.question import Question
from ofakit.errors import UsageError
from ofakit.preprocessors.caption import CaptionPreprocessor, Seen
from ofakit.preprocessors.collate import Collate
from ofakit.text.prompts import build_prompt

if TYPE_CHECKING:
    from ofakit.hub.answer_bundle import AnswerBundle

__all__ = ["CollateQuestions", "QuestionPreprocessor", "asked_as"]

PROMPT = " {}"


class QuestionPreprocessor:
    """Question → tensors; picklable.

    Args:
        bundle: The model that answers.
        mode: "train", "eval" or "inference"; targets are made in training alone.

    Raises:
        UsageError: The prompt has no place for the question.
    """

    def __init__(self, bundle: AnswerBundle, mode: str = "inference") -> None:
        self.seeing, self.codec, self.mode = CaptionPreprocessor.of(bundle, mode), bundle.codec(), mode
        self.section = bundle.preprocessor
        self.prompt = self.section.prompt or PROMPT
        if self.prompt.count("{}") != 1:
            raise UsageError(
                f"preprocessor.prompt: expected {{}} once, in place of the question, found {self.prompt!r}"
            )
        self.regions = self.seeing.regions

    def __call__(
        self,
        data: Question,
        rng: np.random.Generator | None = None,
        pixels: np.ndarray | None = None,
        seen: Seen = None,
    ) -> dict[str, torch.Tensor]:
        """The tensors of one question.

        Args:
            data: The question.
            rng: Draws an answer, the cut and the flip; None draws from NumPy's entropy.
            pixels: (S, S, 3) uint8, where the image is decoded already.
            seen: What `CaptionPreprocessor.look` found of its image.

        Returns:
            input_ids (T,) int64, with bos and eos, and what `CaptionPreprocessor.seen` gives. In training also target
            and decoder_input_ids (U,) int64, and score () float32.

        Raises:
            BadImage: The image is missing, cannot be read, or has no regions.
        """
        sample = {"input_ids": self.source(data.question), **self.seeing.seen(data, rng, pixels, seen)}
        if self.mode == "train" and data.scores:
            answer, score = _drawn(data, rng or np.random.default_rng())
            sample |= {**self.target(answer), "score": torch.tensor(score)}
        return sample

    def source(self, question: str) -> torch.Tensor:
        """The ids of a question in the prompt.

        Args:
            question: As it was asked.

        Returns:
            (T,) int64, with bos and eos; what is too long goes from the end.
        """
        asked = build_prompt(self.prompt, asked_as(question, self.section.lowercase))
        ids = self.codec.tokenizer.encode_as_text(asked)
        return self.codec.source("", ids, max_length=self.section.max_src_length)

    def target(self, answer: str) -> dict[str, torch.Tensor]:
        """The ids of an answer, as what to say and as what was said before.

        Args:
            answer: The answer.
        """
        return self.codec.target(self.codec.caption(answer)[: self.section.max_tgt_length - 1])


class CollateQuestions:
    """Join samples; picklable, for `DataLoader(collate_fn=…)`.

    Args:
        pad_token_id: What texts are padded with.
    """

    def __init__(self, pad_token_id: int) -> None:
        self.collate = Collate(pad_token_id)

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Join samples.

        Args:
            samples: From `QuestionPreprocessor`.

        Returns:
            What `Collate` gives, and in training `score` (B,) float32.
        """
        batch = self.collate(samples)
        return batch | ({"score": torch.stack([s["score"] for s in samples])} if "score" in samples[0] else {})


def asked_as(question: str, lowercase: bool = True) -> str:
    """A question as models are asked: on one line, with a question mark.

    Args:
        question: As it was asked.
        lowercase: In lower case.

    >>> asked_as("Is it  Red"), asked_as("Who?", lowercase=False)
    ('is it red?', 'Who?')
    """
    words = " ".join(question.split()).rstrip("?").rstrip() + "?"
    return words.lower() if lowercase else words


def _drawn(question: Question, rng: np.random.Generator) -> tuple[str, float]:
    """A right answer, as often as it is right."""
    weights = np.array([score for _, score in question.scores], np.float64)
    return question.scores[int(rng.choice(len(weights), p=weights / weights.sum()))]

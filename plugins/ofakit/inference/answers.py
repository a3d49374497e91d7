"""From a batch of questions about images to answers, generated or chosen from a closed list.

answerer = Answerer(bundle)
for index, answer in answerer.batches(batches): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ofakit.errors import UsageError
from ofakit.hub.answer_bundle import AnswerBundle
from ofakit.models.generation import generate, rank_sequences
from ofakit.models.generation.hypotheses import NEGATIVE
from ofakit.preprocessors.batches import move_batch

__all__ = ["NO_ANSWER", "Answer", "Answerer"]


class Answer(NamedTuple):
    """What a model answers.

    Attributes:
        text: Without white space around.
        score: Its log-probability; length-normalised where it was generated.
    """

    text: str
    score: float


NO_ANSWER = Answer("", float("-inf"))
"""Stands for the answer to a question for which the model gave NaN."""


class Answerer:
    """A model ready to answer.

    Args:
        bundle: The model, on its device.
        precision: "fp32", "bf16" or "fp16".

    Raises:
        UsageError: It ranks a closed list, and has none.
    """

    def __init__(self, bundle: AnswerBundle, precision: str = "fp32") -> None:
        if bundle.vqa.inference == "rank" and not bundle.candidates:
            raise UsageError(
                "vqa.inference rank needs a closed list of answers; set vqa.answers, or train with rank, which takes "
                "the list from the training questions"
            )
        self.bundle, self.codec = bundle, bundle.codec()
        self.model: Any = bundle.model.prepare_for_inference(precision)
        self.how = {name: value for name, value in bundle.generation.model_dump().items() if name != "rerank"}
        longest = bundle.preprocessor.max_tgt_length - 1
        ids = (self.codec.caption(text)[:longest] for text in bundle.candidates)
        self.candidates = [self.codec.target(own)["target"].tolist() for own in ids]

    def __call__(self, batch: Mapping[str, Any]) -> list[Answer]:
        """Answer the questions of a batch.

        Args:
            batch: As made by the collator, on any device.
        """
        inputs = move_batch(batch, self.model.output_embedding.device, self.bundle.mean_std)
        if self.bundle.vqa.inference == "generate":
            found = [hypotheses[:1] for hypotheses in generate(self.model, inputs, **self.how)]
            texts = self.codec.texts([one.tokens for own in found for one in own])
            said = iter(texts)
            return [Answer(next(said), float(own[0].score)) if own else NO_ANSWER for own in found]
        scores, places = rank_sequences(self.model, inputs, self.candidates).max(1)
        pairs = zip(scores.tolist(), places.tolist(), strict=True)
        return [Answer(self.bundle.candidates[place], s) if s > NEGATIVE else NO_ANSWER for s, place in pairs]

    def batches(self, batches: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, Answer]]:
        """Answer the questions of batches.

        Args:
            batches: As made by the collator, with `index`.

        Yields:
            The question's position in its data set, and the answer.
        """
        for batch in batches:
            yield from zip(batch["index"].tolist(), self(batch), strict=True)

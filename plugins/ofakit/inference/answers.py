"""From questions about images to answers, generated or chosen from a closed list.

answerer = Answerer.from_pretrained("work_dir/vqa/best")
answerer.answer(["dog.jpg"], ["how many dogs are there?"])[0].answer
for index, answer in Answerer(bundle).batches(batches): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ofakit.data.decoding import BadImage
from ofakit.data.question import Question
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.hub.answer_bundle import AnswerBundle
from ofakit.hub.other_task import other_task
from ofakit.models.generation import generate, rank_sequences
from ofakit.models.generation.hypotheses import NEGATIVE
from ofakit.preprocessors.batches import move_batch
from ofakit.preprocessors.question import CollateQuestions, QuestionPreprocessor
from ofakit.preprocessors.regions import give_regions
from ofakit.processes import device_named

__all__ = ["NO_ANSWER", "Answer", "AnswerResult", "Answerer"]


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


@dataclass(frozen=True)
class AnswerResult:
    """What became of one question.

    Attributes:
        question: As it was asked.
        answer: What the model answers, or None where the image could not be read.
        score: Its log-probability, or None.
        error: Why there is no answer, or None.
    """

    question: str
    answer: str | None
    score: float | None
    error: str | None = None


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

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path,
        regions: str | Path | None = None,
        device: str | None = None,
        precision: str = "fp32",
    ) -> Answerer:
        """Load a model directory or hub id.

        Args:
            path_or_id: The directory or id of a model that was trained to answer.
            regions: Where features of the images are, for a model that reads regions. None: the network in its
                directory makes them.
            device: "cpu", "cuda", "gpu" or "mps"; None takes a GPU where there is one.
            precision: "fp32", "bf16" or "fp16".

        Raises:
            UsageError: It cannot be read, or is a model of another task.
        """
        bundle = load_bundle(path_or_id)
        if not isinstance(bundle, AnswerBundle):
            wanted, cure = f"a model that answers questions in {path_or_id}", "train one from it with the task vqa"
            raise other_task(bundle, wanted, cure)
        if regions is not None:
            give_regions(bundle, regions)
        chosen = device_named(device)
        bundle.model.to(chosen)
        if bundle.live_regions is not None:
            bundle.live_regions.to(chosen)
        return cls(bundle, precision)

    def answer(self, images: Sequence[Any], questions: Sequence[str], batch_size: int = 16) -> list[AnswerResult]:
        """Answer questions about images; one whose image cannot be read gets an error, the others their answers.

        Args:
            images: Of each question: a path, bytes, a PIL image, or (H, W) or (H, W, 3 or 4) uint8.
            questions: As many.
            batch_size: Questions in one forward pass.

        Raises:
            UsageError: The lists differ in length, `batch_size` is under 1, or the model reads regions and nothing
                makes them.
        """
        if batch_size < 1:
            raise UsageError(f"expected a batch_size of at least 1, found {batch_size}")
        if len(images) != len(questions):
            raise UsageError(f"expected as many questions as images, found {len(questions)} and {len(images)}")
        preprocessor, collate = QuestionPreprocessor(self.bundle), CollateQuestions(self.codec.tokenizer.pad_token_id)
        results: dict[int, AnswerResult] = {}
        samples = []
        looked = preprocessor.seeing.look(images)
        for place, (image, question, seen) in enumerate(zip(images, questions, looked, strict=True)):
            try:
                sample = preprocessor(Question(str(place), image, question=question), seen=seen)
                samples.append((place, {**sample, "index": place}))
            except BadImage as error:
                results[place] = AnswerResult(question, None, None, str(error))
        for start in range(0, len(samples), batch_size):
            part = samples[start : start + batch_size]
            found = self(collate([sample for _, sample in part]))
            for (place, _), answer in zip(part, found, strict=True):
                results[place] = _result(questions[place], answer)
        return [results[place] for place in range(len(images))]

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


def _result(question: str, answer: Answer) -> AnswerResult:
    if answer is NO_ANSWER:
        return AnswerResult(question, None, None, "no answer could be generated (the model gave NaN)")
    return AnswerResult(question, answer.text, answer.score)

"""Answering questions about images, by generating text or with the most likely answer of a closed list.

    {"task": "visual-question-answering", "data": {"reader": {"type": "vqa"}, "root": "DIR"}}
    {"task": "vqa", "vqa": {"inference": "rank", "answers": 3129}, "preprocessor": {"prompt": "vqa: {}"}}

An epoch has one example per question, with one of its right answers drawn again, which counts by how right it is.
Evaluation answers a split, and gives the soft accuracy of VQA, exact match and F1, overall and by kind of question,
beside what a look at the questions alone would give.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ofakit.config.schema import ModelSection
from ofakit.data import BadExamples
from ofakit.data.question import Question
from ofakit.errors import UsageError
from ofakit.hub import AnswerBundle, CaptionBundle, ModelBundle
from ofakit.hub.other_task import other_task
from ofakit.inference.answers import NO_ANSWER, Answerer
from ofakit.objectives.base import Objective
from ofakit.preprocessors.question import CollateQuestions, QuestionPreprocessor, asked_as
from ofakit.tasks._shown_tensors import image_name, shown_tensors
from ofakit.tasks._vqa_evaluation import Answered, LanguagePrior, right_answers, score_answers
from ofakit.tasks._writing import WritingTask
from ofakit.tasks.base import Evaluation, EvaluationLoading

__all__ = ["Vqa"]

logger = logging.getLogger(__name__)


class Vqa(WritingTask[AnswerBundle]):
    """Answer questions about images.

    Args:
        config: The experiment.
    """

    name = "visual-question-answering"
    usual_objectives = ({"type": "soft_answer"},)
    usual_score = "vqa_accuracy"

    def read(self, given: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The questions of every split, each with how right its answers are.

        Args:
            given: Lists of `Question` in memory by split, instead of the reader's.

        Raises:
            UsageError: The examples are no questions.
        """
        for name, examples in super().read(given).items():
            if not all(isinstance(example, Question) for example in examples):
                raise UsageError(
                    f"the split {name} has no questions to answer; use a reader of questions, such as vqa or scene_vqa"
                )
            self.examples[name] = [replace(example, scores=right_answers(example)) for example in examples]
        return self.examples

    def _new(self, model: Any, tokenizer: Any, model_type: str) -> AnswerBundle:
        said = self.config
        return AnswerBundle(model, tokenizer, None, said.preprocessor, said.generation, said.vqa, model_type=model_type)

    def _completed(self, bundle: AnswerBundle, section: ModelSection) -> AnswerBundle:
        return self._listed(bundle)

    def shared_bundle(self, bundle: ModelBundle) -> AnswerBundle:
        """A bundle of question answering around a model that several tasks share.

        Args:
            bundle: The model as it was read or made.

        Raises:
            UsageError: The model writes no answers.
        """
        return self._listed(self._continued(replace(bundle)))

    def _listed(self, bundle: AnswerBundle) -> AnswerBundle:
        """The bundle with the closed list that it ranks, where it does."""
        if bundle.vqa.inference == "rank" and not bundle.candidates:
            with self.config.naming_the_file("vqa"):
                bundle.candidates = self._closed_list(bundle)
        return bundle

    def adopt(self, bundle: AnswerBundle) -> None:
        """Take over prompt, generation and way of answering as the bundle has them.

        Args:
            bundle: The model that is trained or evaluated.
        """
        self.config.preprocessor, self.config.generation = bundle.preprocessor, bundle.generation
        self.config.vqa = bundle.vqa

    def training_examples(
        self, examples: Sequence[Question], objectives: Mapping[str, Objective], bad: BadExamples
    ) -> list[Question]:
        """The questions that have an answer.

        Args:
            examples: The training split.
            objectives: Not looked at.
            bad: Counts and lists what is left out.
        """
        return self.evaluation_examples(examples, bad)

    def evaluation_examples(self, examples: Sequence[Question], bad: BadExamples) -> list[Question]:
        """Those that have an answer.

        Args:
            examples: The split.
            bad: Counts and lists what is left out.
        """
        for example in examples:
            if not example.scores:
                bad.add(example, "no answer", "the question has no right answer")
        return [example for example in examples if example.scores]

    def preprocessor(self, bundle: AnswerBundle, mode: str) -> Callable[..., dict[str, Any]]:
        """From a question to the tensors of answering it.

        Args:
            bundle: The model.
            mode: "train" or "eval".
        """
        return QuestionPreprocessor(bundle, mode)

    def collator(self, bundle: AnswerBundle) -> Callable[..., dict[str, Any]]:
        """From those of several questions to a batch.

        Args:
            bundle: The model.
        """
        return CollateQuestions(bundle.tokenizer.pad_token_id)

    def shown(self, bundle: AnswerBundle, example: Question, sample: Mapping[str, Any]) -> dict[str, Any]:
        """A training question as the model sees it, with the answer that was drawn.

        Args:
            bundle: The model.
            example: One of `training_examples`.
            sample: What the preprocessor made of it, with the views of objectives.
        """
        tokenizer = bundle.tokenizer
        tensors = {name: value for name, value in sample.items() if name in ("input_ids", "target") or "/" in name}

        def pieces(ids: Sequence[int]) -> list[str | None]:
            return [tokenizer.id_to_token(number) for number in ids]

        return {
            "id": example.id,
            "image": image_name(example.image, example.image_path),
            "question": tokenizer.decode(sample["input_ids"].tolist()),
            "answer": tokenizer.decode(sample["target"].tolist()) if "target" in sample else None,
            "answers": dict(example.scores),
            **shown_tensors(tensors, pieces),
        }

    def evaluate(
        self, bundle: AnswerBundle, examples: Sequence[Question], loading: EvaluationLoading
    ) -> Evaluation | None:
        """Answer the questions of a split and score the answers.

        Args:
            bundle: The model.
            examples: The questions; those without an answer or with broken images are left out.
            loading: Gives the batches.

        Raises:
            UsageError: No question is left.
        """
        usable, batches = loading.evaluation(examples)
        if not usable:
            raise UsageError("expected questions with answers to evaluate on, found none")
        settings = self.config.evaluation
        found = list(Answerer(bundle, settings.precision).batches(batches))
        said = {index: answer for share in loading.processes.gather(found) for index, answer in share}
        if not loading.processes.is_main:
            return None
        answered = [
            Answered(
                own.id, own.image, own.question, said[place].text, said[place].score, own.references, own.annotated,
                own.scores, own.group,
            )
            for place, own in enumerate(usable)
        ]  # fmt: skip
        seed = self.config.seed if settings.shuffled_images else None
        scores = score_answers(answered, LanguagePrior(self.examples.get("train", ())), seed)
        silent = sum(item.score == NO_ANSWER.score for item in answered)
        return Evaluation(scores, [item.row() for item in answered], silent=silent)

    def _continued(self, bundle: Any) -> AnswerBundle:
        """A loaded model under this experiment: what the configuration does not say stays as the model was taught."""
        if not isinstance(bundle, CaptionBundle):
            raise other_task(bundle, "a model that writes answers", key="path")
        found: Any = bundle
        if not isinstance(bundle, AnswerBundle):  # one of captions: its prompt asks for these
            found = AnswerBundle(
                bundle.model, bundle.tokenizer, None, bundle.preprocessor.model_copy(update={"prompt": None}),
                bundle.generation, model_type=bundle.model_type, objectives=bundle.objectives,
                live_regions=bundle.live_regions,
            )  # fmt: skip
        self._take_said(found, "preprocessor", "generation", "vqa")
        if self.config.vqa.answers is not None:
            found.candidates = ()
        return found

    def _closed_list(self, bundle: AnswerBundle) -> tuple[str, ...]:
        """The answers that are ranked: listed, those of a file, or the most frequent of the training questions."""
        wanted = bundle.vqa.answers
        if isinstance(wanted, str):
            wanted = _lines(Path(wanted).expanduser())
        if isinstance(wanted, list):
            listed = tuple(dict.fromkeys(text.strip() for text in wanted if text.strip()))
            if not listed:
                raise UsageError("expected at least one answer, found none", "answers")
            return listed
        counts: dict[str, float] = {}
        for question in self.examples.get("train", ()):
            for answer, score in question.scores:
                counts[answer] = counts.get(answer, 0.0) + score
        if not counts:
            raise UsageError("there are no training questions to take the closed list from; set vqa.answers", "answers")
        ordered = sorted(counts, key=lambda answer: (-counts[answer], answer))
        logger.info("the closed list contains %d of %d answers", len(ordered[:wanted]), len(ordered))
        return tuple(ordered[:wanted])

    def texts(self) -> list[str]:
        """What a vocabulary of the experiment's own is trained on: the training questions and their answers."""
        train, lowercase = self.examples.get("train", []), self.config.preprocessor.lowercase
        answers = [answer for question in train for answer, _ in question.scores]
        texts = [asked_as(question.question, lowercase) for question in train] + answers
        prompt = (self.config.preprocessor.prompt or "").replace("{}", "")
        return [*(" " + (text.lower() if lowercase else text) for text in texts), prompt]


def _lines(path: Path) -> list[str]:
    """The answers of a file, one a line."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a text file with one answer per line at {path}: {error}", "answers") from error

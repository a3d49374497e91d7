"""Scores of answers, overall and of each kind of question, with two controls that show what the image contributes.

`language_prior` answers every question without looking: as the training questions of the same words were answered most
often, or else those of its kind, or all. `repeated` takes the questions that are asked of several images, and scores
each answer also against what is right for another of these images: a model that looks at nothing loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.image_keys import image_key
from ofakit.data.question import Question
from ofakit.preprocessors.question import asked_as
from ofakit.scores import answer_scores, exact_match, token_f1, vqa_accuracy
from ofakit.scores.vqa import normalized_vqa_answer

__all__ = ["Answered", "LanguagePrior", "right_answers", "score_answers"]


@dataclass(frozen=True)
class Answered:
    """An answer beside what it is measured by.

    Attributes:
        id: The question's.
        image: The image's path, the image itself where it is in memory, or None.
        question: The question.
        answer: What the model answers.
        score: Its log-probability.
        answers: The right answers.
        annotated: What each annotator answered, with repetitions; empty where that is not known.
        scores: Right answers with how right they are.
        group: The kind of question, or None.
    """

    id: str
    image: Any
    question: str
    answer: str
    score: float
    answers: tuple[str, ...]
    annotated: tuple[str, ...] = ()
    scores: tuple[tuple[str, float], ...] = ()
    group: str | None = None

    @cached_property
    def accuracy(self) -> float:
        """Its soft accuracy: by annotators as VQA counts it, else how right the answer is that it is."""
        if self.annotated:
            return vqa_accuracy([self.answer], [self.annotated]).corpus
        own = normalized_vqa_answer(self.answer)
        return max((score for text, score in self.scores if normalized_vqa_answer(text) == own), default=0.0)

    def row(self) -> dict[str, Any]:
        """For JSON lines: with its accuracy; an image in memory is null, and what is not known is left out."""
        row = {field.name: getattr(self, field.name) for field in fields(self)}
        row |= {"image": str(self.image) if isinstance(self.image, str | Path) else None}
        row |= {"scores": dict(self.scores), "vqa_accuracy": self.accuracy}
        return {key: value for key, value in row.items() if value or key not in ("annotated", "group")}


class LanguagePrior:
    """What is answered without a look at the image.

    Args:
        questions: The training questions, with their `scores`.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        self._counts: dict[tuple[str, str | None], dict[str, float]] = {}
        for question in questions:
            for key in self._keys(question.question, question.group):
                counts = self._counts.setdefault(key, {})
                for answer, score in question.scores:
                    counts[answer] = counts.get(answer, 0.0) + score

    def __bool__(self) -> bool:
        """Whether there was any training question."""
        return bool(self._counts)

    def answer(self, question: str, group: str | None) -> str:
        """The most frequent answer to such a question.

        Args:
            question: The question.
            group: Its kind.
        """
        counts = next(self._counts[key] for key in self._keys(question, group) if key in self._counts)
        return max(counts, key=lambda answer: counts[answer], default="")

    @staticmethod
    def _keys(question: str, group: str | None) -> list[tuple[str, str | None]]:
        return [("question", asked_as(question)), ("group", group), ("all", None)]


def right_answers(question: Question) -> tuple[tuple[str, float], ...]:
    """Right answers with how right they are, by which training draws and weighs them.

    Args:
        question: As a reader gives it.

    Returns:
        Those that the data has; else the soft accuracy of what annotators answered, normalised; else 1 for each.
    """
    if question.scores:
        return question.scores
    if question.annotated:
        return tuple(answer_scores(question.annotated).items())
    return tuple((answer, 1.0) for answer in question.references)


def score_answers(
    answered: Sequence[Answered], prior: LanguagePrior | None = None, seed: int | None = 0
) -> dict[str, float]:
    """Soft accuracy, exact match and F1 over all answers and over each kind of question, and the controls.

    Args:
        answered: At least one.
        prior: What is answered without the image; None leaves this control out.
        seed: Of the other control's permutation; None leaves it out.

    Returns:
        The scores by name, from 0 to 1: `vqa_accuracy`, `exact_match`, `f1`, those of a kind as `<kind>/<score>`, the
        controls as `language_prior/<score>`, and `repeated/vqa_accuracy` beside `repeated/vqa_accuracy_shuffled`; and
        the numbers `questions` and `repeated/questions`.
    """
    scores: dict[str, float] = _scores(answered)
    groups = sorted({item.group for item in answered if item.group is not None})
    for group in groups if len(groups) > 1 else []:
        own = _scores([item for item in answered if item.group == group])
        scores |= {f"{group}/{name}": value for name, value in own.items()}
    if prior:
        unseen = [replace(item, answer=prior.answer(item.question, item.group)) for item in answered]
        scores |= {f"language_prior/{name}": value for name, value in _scores(unseen).items()}
    if seed is not None:
        scores |= {f"repeated/{name}": value for name, value in _repeated(answered, seed).items()}
    return {**scores, "questions": len(answered)}


def _scores(answered: Sequence[Answered]) -> dict[str, float]:
    candidates, answers = [item.answer for item in answered], [item.answers for item in answered]
    accuracy = float(np.mean([item.accuracy for item in answered]))
    exact, f1 = exact_match(candidates, answers).corpus, token_f1(candidates, answers).corpus
    return {"vqa_accuracy": accuracy, "exact_match": exact, "f1": f1}


def _repeated(answered: Sequence[Answered], seed: int) -> dict[str, float]:
    """Questions of several images with their own answers, and with those of another of the images."""
    asked: dict[str, dict[str, Answered]] = {}
    for item in answered:
        asked.setdefault(asked_as(item.question), {}).setdefault(image_key(item.image), item)
    random, own, moved = np.random.default_rng(seed), [], []
    for of_images in asked.values():
        items = list(of_images.values())
        if len(items) > 1:
            order = [items[place] for place in random.permutation(len(items))]
            own += [item.accuracy for item in order]
            others = zip(order, order[1:] + order[:1], strict=True)
            moved += [replace(item, answer=other.answer).accuracy for item, other in others]
    if not own:
        return {}
    return {"vqa_accuracy": float(np.mean(own)), "vqa_accuracy_shuffled": float(np.mean(moved)), "questions": len(own)}

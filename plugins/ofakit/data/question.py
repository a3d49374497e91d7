"""What readers for visual question answering return: an image, a question about it, and what people answered."""

from __future__ import annotations

from dataclasses import dataclass

from ofakit.data.example import Example

__all__ = ["Question"]


@dataclass(frozen=True)
class Question(Example):
    """A question about an image.

    `references` are the right answers, each once; `group` is the kind of question, by which scores are also given.

    Attributes:
        question: The question.
        annotated: What each annotator answered, with repetitions, as VQA has ten of; empty where that is not known.
        scores: Right answers with how right they are, in (0, 1]; empty where nothing says so, and then those of the
            annotators, or 1 for every right answer.

    >>> Question("7", "dog.jpg", references=("two", "2"), question="How many dogs?").question
    'How many dogs?'
    """

    question: str = ""
    annotated: tuple[str, ...] = ()
    scores: tuple[tuple[str, float], ...] = ()

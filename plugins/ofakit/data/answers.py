"""Whether a text holds an answer: the weak sign of relevance by which ViQuAE, TriviaQA and others are judged.

Both are put into lower case, ASCII punctuation and the articles a, an and the go, and white space is squeezed; then the
answer must stand in the text between word boundaries. That is meerqat's rule to the letter, with its corners: an answer
of which nothing is left, such as "The", is in every text that has a word, and "£5" in none, since no boundary of a word
stands before a "£". `strict` looks for whole words in another way, in which "£5" is found and an empty answer is not.

Source: meerqat's `answer_preprocess` and `find_relevant` (https://github.com/PaulLerner/ViQuAE), after Rajpurkar et
al., SQuAD, EMNLP 2016.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

__all__ = ["AnswerMatcher", "normalized_answer"]

PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def normalized_answer(text: str) -> str:
    """A text as answers are compared.

    Args:
        text: An answer or a passage.

    >>> normalized_answer("The  Beatles!"), normalized_answer("Levi's"), normalized_answer("Theatre")
    ('beatles', 'levis', 'theatre')
    """
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


class AnswerMatcher:
    """Finds any of some answers in texts.

    Args:
        answers: The answers, any of which will do.
        strict: Whole words of answers that are not empty, in place of meerqat's rule.

    >>> AnswerMatcher(["the beatles"])("A band: Beatles."), AnswerMatcher(["£5"])("It cost £5.")
    (True, False)
    >>> AnswerMatcher(["£5"], strict=True)("It cost £5."), AnswerMatcher(["4"], strict=True)("It cost 42.")
    (True, False)
    """

    def __init__(self, answers: Iterable[str], strict: bool = False) -> None:
        wanted = dict.fromkeys(map(normalized_answer, answers))
        before, after = (r"(?<!\w)", r"(?!\w)") if strict else (r"\b", r"\b")
        patterns = [f"{before}{re.escape(answer)}{after}" for answer in wanted if answer or not strict]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __call__(self, text: str) -> bool:
        """Whether a text holds an answer.

        Args:
            text: A passage.
        """
        return self._pattern is not None and self._pattern.search(normalized_answer(text)) is not None

"""Perplexity of captions under a trigram model of human captions, one model per style.

Interpolated Kneser-Ney smoothing with one discount for each order, n1 / (n1 + 2 n2) (Kneser and Ney 1995; Chen and
Goodman 1999, section 2.7). Two start marks precede a caption and one end mark follows it; the end mark is scored too.
Below the unigrams lies a uniform distribution with room for one word more than the vocabulary, which stands for every
word that was not in the training captions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np

from ofakit.errors import UsageError, did_you_mean
from ofakit.scores.score import Score

__all__ = ["TrigramModel", "style_perplexity"]

_START, _END = "<s>", "</s>"


class _Level:
    """One order of the model: counts of (context, word), their discount, and the totals of each context."""

    def __init__(self, counts: Mapping[tuple[Hashable, str], int]) -> None:
        self.counts = counts
        self.totals: dict[Hashable, int] = defaultdict(int)
        self.kinds: dict[Hashable, int] = defaultdict(int)
        for (context, _), number in counts.items():
            self.totals[context] += number
            self.kinds[context] += 1
        how_many = Counter(counts.values())
        self.discount = how_many[1] / (how_many[1] + 2 * how_many[2]) if how_many[1] else 0.5

    def probability(self, context: Hashable, word: str, lower: float) -> float:
        """The probability of `word` after `context`, given that in the shorter context."""
        total = self.totals.get(context)
        if not total:
            return lower
        kept = max(self.counts.get((context, word), 0) - self.discount, 0.0)
        return (kept + self.discount * self.kinds[context] * lower) / total


class TrigramModel:
    """A trigram model of tokenized captions.

    Args:
        captions: Tokenized captions to learn from.

    Raises:
        UsageError: There are no captions.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        if not captions:
            raise UsageError("a trigram model needs captions to learn from, found none")
        trigrams = Counter(trigram for caption in captions for trigram in _trigrams(caption))
        bigrams = Counter((middle, word) for _, middle, word in trigrams)
        unigrams = Counter(word for _, word in bigrams)
        self.vocabulary = frozenset(unigrams)
        self._levels = (
            _Level({((), word): number for word, number in unigrams.items()}),
            _Level({(middle, word): number for (middle, word), number in bigrams.items()}),
            _Level({((left, middle), word): number for (left, middle, word), number in trigrams.items()}),
        )

    def probability(self, word: str, left: str, middle: str) -> float:
        """Probability of `word` after `left middle`.

        Args:
            word: A word, or `</s>` for the end of the caption.
            left: The word before `middle`, or `<s>` for a start mark.
            middle: The word before `word`, or `<s>`.

        Returns:
            Above 0; over the vocabulary and one unknown word the probabilities sum to 1.
        """
        found = 1.0 / (len(self.vocabulary) + 1)
        for level, context in zip(self._levels, ((), middle, (left, middle)), strict=True):
            found = level.probability(context, word, found)
        return found

    def perplexity(self, candidates: Sequence[str]) -> Score:
        """Perplexity per word, the end mark included; at least 1, and lower is more fluent.

        Args:
            candidates: Tokenized captions.

        Returns:
            The perplexity of all candidates together, and that of each.

        Raises:
            UsageError: There are no candidates.

        >>> model = TrigramModel(["a dog runs", "a dog sleeps", "a cat runs"])
        >>> model.perplexity(["a dog runs", "runs a the"]).per_item.round(2).tolist()
        [1.73, 14.59]
        """
        if not candidates:
            raise UsageError("nothing to score: there are no candidates")
        losses, lengths = np.zeros(len(candidates)), np.zeros(len(candidates))
        for item, caption in enumerate(candidates):
            for left, middle, word in _trigrams(caption):
                losses[item] -= math.log(self.probability(word, left, middle))
                lengths[item] += 1
        return Score(float(np.exp(losses.sum() / lengths.sum())), np.exp(losses / lengths))


def style_perplexity(
    candidates: Sequence[str], styles: Sequence[str], models: Mapping[str, TrigramModel]
) -> dict[str, Score]:
    """Perplexity of the candidates of each style under that style's model.

    Args:
        candidates: Tokenized captions.
        styles: The style each candidate was asked for.
        models: One model for each style.

    Returns:
        For each style that occurs, the score of its candidates in their order.

    Raises:
        UsageError: The lists differ in length, or a style has no model.

    >>> models = {"short": TrigramModel(["a dog", "a cat"]), "long": TrigramModel(["a dog and a cat"])}
    >>> {style: round(s.corpus, 2) for style, s in style_perplexity(["a cat"], ["short"], models).items()}
    {'short': 2.03}
    """
    if len(candidates) != len(styles):
        raise UsageError(f"expected a style for each candidate, found {len(candidates)} and {len(styles)}")
    groups: dict[str, list[str]] = defaultdict(list)
    for caption, style in zip(candidates, styles, strict=True):
        if style not in models:
            raise UsageError(f"no trigram model for the style {style!r}: {did_you_mean(style, models)}")
        groups[style].append(caption)
    return {style: models[style].perplexity(captions) for style, captions in groups.items()}


def _trigrams(caption: str) -> Iterable[tuple[str, str, str]]:
    words = [_START, _START, *caption.split(), _END]
    return zip(words, words[1:], words[2:], strict=False)

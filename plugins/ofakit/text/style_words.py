"""Which words are typical of a style: log-odds between styles with an informative Dirichlet prior.

Source: Monroe, Colaresi and Quinn, "Fightin' Words", Political Analysis 16(4), 2008, equations 16, 22 and 23.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ofakit.errors import UsageError
from ofakit.text.styles import same_style

if TYPE_CHECKING:
    from ofakit.data.example import Example

__all__ = ["captions_by_style", "describe", "log_odds", "style_words", "words"]


def style_words(
    captions_by_style: Mapping[str, Iterable[str]],
    top: int | None = 50,
    *,
    min_score: float = 0.0,
    prior_words: float = 1000.0,
    min_count: int = 1,
    split: Callable[[str], list[str]] | None = None,
) -> dict[str, list[tuple[str, float]]]:
    """The words that set each style apart from all the others together.

    Args:
        captions_by_style: The training captions of each style, at least two styles.
        top: At most this many words per style; None gives all with a positive score.
        min_score: Words with a lower z-score are left out.
        prior_words: Weight of the prior, in words: the larger it is, the less rare words count.
        min_count: Words that occur fewer times than this in all captions together are left out.
        split: Splits a caption into words; the default is `words`.

    Returns:
        For each style the words it uses more than the others do, with their z-scores, highest first; words with equal
        scores are in alphabetical order.

    Raises:
        UsageError: There are fewer than two styles, or a number is out of range.

    >>> captions = {"romantic": ["two dogs in love", "in love with the sea"], "factual": ["two dogs run", "the sea"]}
    >>> found = style_words(captions, top=2, prior_words=10)
    >>> [(word, round(z, 2)) for word, z in found["romantic"]]
    [('in', 0.74), ('love', 0.74)]
    """
    if len(captions_by_style) < 2:
        raise UsageError(f"expected captions in at least two styles, found {list(captions_by_style)}")
    if prior_words <= 0 or min_count < 1 or (top is not None and top < 1):
        raise UsageError(f"expected positive numbers, found {prior_words=}, {min_count=}, {top=}")
    cut = split or words
    counts = {style: Counter(w for c in captions for w in cut(c)) for style, captions in captions_by_style.items()}
    total = sum(counts.values(), Counter())
    vocabulary = sorted(word for word, count in total.items() if count >= min_count)
    pooled = np.array([total[word] for word in vocabulary], dtype=np.float64)
    found = {}
    for style, counted in counts.items():
        own = np.array([counted[word] for word in vocabulary], dtype=np.float64)
        scores = log_odds(own, pooled - own, prior_words * pooled / max(pooled.sum(), 1.0))
        best = [i for i in np.argsort(-scores, kind="stable")[:top] if scores[i] > 0 and scores[i] >= min_score]
        found[style] = [(vocabulary[i], float(scores[i])) for i in best]
    return found


def captions_by_style(examples: Iterable[Example]) -> dict[str, list[str]]:
    """Gather the captions of examples by style, as `style_words` takes them; examples without a style are skipped.

    Args:
        examples: Each with a caption to learn, or else with references.

    Returns:
        The captions of each style, by what the spellings of its name have in common (`same_style`).
    """
    captions: dict[str, list[str]] = defaultdict(list)
    for example in examples:
        if example.style:
            captions[same_style(example.style)] += example.references if example.text is None else (example.text,)
    return dict(captions)


def describe(found: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """The words of each style as a table to read: style, word, z-score.

    Args:
        found: From `style_words`.

    >>> print(describe({"pirate": [("matey", 12.345), ("arr", 3.0)], "plain": []}))
    pirate  matey  12.35
            arr     3.00
    plain   (none)
    """
    room = max(map(len, found), default=0)
    width = max((len(word) for pairs in found.values() for word, _ in pairs), default=0)
    lines = []
    for style, pairs in found.items():
        rows = [f"{word:<{width}} {score:6.2f}" for word, score in pairs] or ["(none)"]
        lines += [f"{style if k == 0 else '':<{room}}  {row}" for k, row in enumerate(rows)]
    return "\n".join(lines)


def log_odds(own: np.ndarray, others: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """z-scores of the log-odds ratio of each word between two bodies of text.

    With y the counts, a the prior and n, a0 their sums,
    delta = log (y1 + a) / (n1 + a0 - y1 - a) - log (y2 + a) / (n2 + a0 - y2 - a),
    z = delta / sqrt(1 / (y1 + a) + 1 / (y2 + a)).

    Args:
        own: (V,) counts of each word in the first.
        others: (V,) counts in the second.
        prior: (V,) pseudo-counts, all positive.

    Returns:
        (V,) z-scores, positive where the first has more of a word.

    >>> log_odds(np.array([3.0, 1.0]), np.array([1.0, 3.0]), np.array([1.0, 1.0])).round(4)
    array([ 1.6008, -1.6008])
    """

    def logit(counts: np.ndarray) -> np.ndarray:
        smoothed = counts + prior
        return np.log(smoothed) - np.log(smoothed.sum() - smoothed)

    return (logit(own) - logit(others)) / np.sqrt(1.0 / (own + prior) + 1.0 / (others + prior))


def words(caption: str) -> list[str]:
    """The lower-cased words of a caption, without punctuation.

    Args:
        caption: Any text.

    >>> words("A dog's well-earned rest, at last!")
    ['a', "dog's", 'well-earned', 'rest', 'at', 'last']
    """
    return re.findall(r"\w+(?:['’-]\w+)*", caption.lower())

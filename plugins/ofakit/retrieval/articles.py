"""Articles represent their passages: an image matches an article, and its passages follow in order.

The n-th passage of an article gets the article's score minus n * 1e-8, so that articles keep their order and passages
follow one another. Source: PaulLerner/ViQuAE, `meerqat/ir/search.py`, where a hit is mapped likewise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase

__all__ = ["ARTICLE_STEP", "expand_articles", "representatives"]

ARTICLE_STEP = 1e-8
"""By how much the score falls from one passage of an article to the next."""


def representatives(base: PassageBase, modalities: Sequence[str]) -> np.ndarray:
    """One passage for each article: the first that has all that is searched by.

    Args:
        base: The passages.
        modalities: Which of `text` and `image` are searched by.

    Returns:
        Positions of these passages, int64, in the order of the articles that have one.
    """
    first = (next((place for place in own if _has(base[place], modalities)), -1) for own in base.articles.values())
    places = np.fromiter(first, np.int64)
    return places[places >= 0]


def expand_articles(
    base: PassageBase, articles: Sequence[str], scores: Sequence[float] | np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The passages of ranked articles.

    Args:
        base: The passages.
        articles: Ids, best first, each once.
        scores: Theirs.
        k: Passages at most.

    Returns:
        Positions in the base, int64, and scores, float64, equally long.

    >>> from ofakit.data.knowledge_base import KnowledgeBase
    >>> base = KnowledgeBase([Passage("a0", "x", article="a"), Passage("a1", "y", article="a"), Passage("b0", "z")])
    >>> places, scores = expand_articles(base, ["b0", "a"], [0.9, 0.5], 2)
    >>> [base[place].id for place in places], scores.round(3).tolist()
    (['b0', 'a0'], [0.9, 0.5])
    """
    places: list[int] = []
    found: list[float] = []
    for article, score in zip(articles, scores, strict=True):
        own = base.articles[article][: k - len(places)]
        places.extend(own)
        found += [float(score) - ARTICLE_STEP * number for number in range(len(own))]
        if len(places) >= k:
            break
    return np.array(places, dtype=np.int64), np.array(found, dtype=np.float64)


def _has(passage: Passage, modalities: Sequence[str]) -> bool:
    text = "text" not in modalities or bool(passage.text or passage.title)
    return text and ("image" not in modalities or passage.image is not None)

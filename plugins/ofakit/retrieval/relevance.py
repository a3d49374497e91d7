"""What is relevant where nobody has judged: passages that hold an answer.

Two ways, which may follow one another. By provenance: the passages of the articles that a question was written about
(`provenance_relevance`). Pooled: whatever was retrieved and holds an answer (`pooled_relevance`). How many passages are
relevant then depends on what was searched, so recall and MAP say nothing, and runs compare only on the judgements of
all of them together (`united_relevance`).

Source: Lerner et al., ViQuAE, SIGIR 2022; meerqat's `meerqat/ir/metrics.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ofakit.data.answers import AnswerMatcher
from ofakit.data.passage import Passage
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError, did_you_mean

__all__ = ["find_relevant", "pooled_relevance", "provenance_relevance", "united_relevance"]

Judgements = Mapping[str, Mapping[str, float]]
TextOf = Callable[[Passage], str]


def find_relevant(passages: Sequence[str], answers: Iterable[str], strict: bool = False) -> list[int]:
    """Which passages hold an answer.

    Args:
        passages: Texts of passages.
        answers: The answers, any of which will do.
        strict: See `ofakit.data.answers`.

    Returns:
        Their positions.

    >>> find_relevant(["Levi's jeans are blue.", "The Beatles were a band."], ["Levi's", "Levi Strauss"])
    [0]
    """
    matches = AnswerMatcher(answers, strict)
    return [position for position, text in enumerate(passages) if matches(text)]


def provenance_relevance(
    answers: Iterable[str],
    articles: Iterable[str],
    base: PassageBase,
    strict: bool = False,
    text_of: TextOf = Passage.titled,
) -> dict[str, float]:
    """The passages that hold an answer, out of those of some articles.

    Args:
        answers: The answers, any of which will do.
        articles: Ids of articles; one that the base lacks is passed over.
        base: The passages.
        strict: See `ofakit.data.answers`.
        text_of: The text of a passage that is looked at; by default with the title in front.

    Returns:
        A gain of 1 by passage.
    """
    matches = AnswerMatcher(answers, strict)
    positions = [position for article in dict.fromkeys(articles) for position in base.articles.get(article, ())]
    return {base[position].id: 1.0 for position in positions if matches(text_of(base[position]))}


def pooled_relevance(
    run: Judgements,
    passages: PassageBase | Callable[[str], Passage],
    queries: Iterable[Query],
    strict: bool = False,
    text_of: TextOf = Passage.titled,
) -> dict[str, dict[str, float]]:
    """What is relevant by a query's own judgements, and what was retrieved and holds an answer.

    Args:
        run: Scores by passage, by query.
        passages: The base, or what gives a passage by its id.
        queries: The queries; one that was not searched keeps its own judgements.
        strict: See `ofakit.data.answers`.
        text_of: The text of a passage that is looked at; by default with the title in front.

    Returns:
        Gains by passage, by query. A passage that is judged already keeps its gain.

    Raises:
        UsageError: The run holds a query that is none of `queries`, or a passage that the base lacks.
    """
    known = {query.id: query for query in queries}
    for name in run:
        if name not in known:
            raise UsageError(f"the run contains the unknown query {name!r}: {did_you_mean(name, list(known)[:20])}")
    find = passages if callable(passages) else lambda name: passages[passages.position(name)]
    found = {}
    for name, query in known.items():
        matches = AnswerMatcher(query.answers, strict)
        retrieved = [passage for passage in run.get(name, ()) if passage not in query.relevant]
        added = {passage: 1.0 for passage in retrieved if query.answers and matches(text_of(find(passage)))}
        found[name] = {**query.relevant, **added}
    return found


def united_relevance(judgements: Iterable[Judgements]) -> dict[str, dict[str, float]]:
    """Judgements of several together, such as those pooled over different runs, on which these compare.

    Args:
        judgements: Gains by passage, by query.

    Returns:
        The highest gain of each passage, by query.

    >>> united_relevance([{"q": {"a": 1.0, "b": 0.0}}, {"q": {"b": 1.0}, "r": {}}])
    {'q': {'a': 1.0, 'b': 1.0}, 'r': {}}
    """
    united: dict[str, dict[str, float]] = {}
    for some in judgements:
        for query, gains in some.items():
            own = united.setdefault(query, {})
            for passage, gain in gains.items():
                own[passage] = max(gain, own.get(passage, gain))
    return united

"""What runs are scored against: judged passages, or also what they retrieved; passages, or their articles.

    {"retrieval": {"relevance": "pooled", "evaluation_unit": "article", "metrics": ["mrr@100", "p@1"]}}

`pooled` judges every retrieved passage that holds an answer as relevant, as ViQuAE does: then the judgements depend on
the runs, which are compared on their union, and scores that need to know all that is relevant, such as MAP, are
refused. With the unit `article` an article has the highest score of its passages, and is relevant where one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ofakit.config.retrieval import RetrievalSection
from ofakit.data.answers import AnswerMatcher
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run

__all__ = ["articles_of_qrels", "articles_of_run", "judged", "pooled_qrels"]


def judged(
    runs: Mapping[str, Run], queries: Sequence[Query], base: PassageBase, section: RetrievalSection
) -> tuple[dict[str, Run], Qrels]:
    """The runs and what they are scored against, as a configuration has it.

    Args:
        runs: By system.
        queries: What was asked.
        base: The passages.
        section: With `relevance` and `evaluation_unit`.

    Returns:
        The runs, of passages or of articles, and their judgements.
    """
    qrels = Qrels.of(queries)
    if section.relevance == "pooled":
        qrels = pooled_qrels(qrels, list(runs.values()), queries, base)
    if section.evaluation_unit == "passage":
        return dict(runs), qrels
    return {name: articles_of_run(run, base) for name, run in runs.items()}, articles_of_qrels(qrels, base)


def pooled_qrels(qrels: Qrels, runs: Sequence[Run], queries: Sequence[Query], base: PassageBase) -> Qrels:
    """Judgements grown by the retrieved passages that hold an answer.

    Args:
        qrels: What is known.
        runs: All runs that are to be compared.
        queries: With their answers.
        base: The passages.
    """
    matchers = {query.id: AnswerMatcher(query.answers) for query in queries if query.answers}

    def relevance(query: str, passage: str) -> float:
        matches = matchers.get(query)
        return float(matches is not None and matches(base[base.position(passage)].titled()))

    return qrels.pooled(runs, relevance)


def articles_of_run(run: Run, base: PassageBase) -> Run:
    """The rankings of articles: each has the highest score of its passages.

    Args:
        run: Rankings of passages.
        base: The passages.
    """
    found: dict[str, dict[str, float]] = {}
    for query in run:
        own: dict[str, float] = {}
        for passage, score in run[query].items():
            own.setdefault(base[base.position(passage)].article_id, score)  # best first
        found[query] = own
    return Run(found, name=run.name)


def articles_of_qrels(qrels: Qrels, base: PassageBase) -> Qrels:
    """The judgements of articles: each has the highest gain of its passages.

    Args:
        qrels: Judgements of passages; those that the base lacks are judged as themselves.
        base: The passages.
    """
    found: dict[str, dict[str, float]] = {}
    for query, gains in qrels.items():
        own: dict[str, float] = {}
        for passage, gain in gains.items():
            article = base[base.position(passage)].article_id if passage in base else passage
            own[article] = max(gain, own.get(article, gain))
        found[query] = own
    return Qrels(found, qrels.mode)

"""Another run's best passages in the order of a slower model: a cross-encoder, a model with `itm`, or a retriever.

    {"searchers": {"bm25": {"type": "bm25"}, "dense": {"type": "dense"},
                   "reranked": {"type": "rerank", "of": "fused", "model": "CROSS_ENCODER", "depth": 50}}}

`of` names another searcher or `fused`. The run is not part of the fusion; the last one of its kind is what counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError
from ofakit.retrieval.pair_scorers import PairScorer, load_pair_scorer
from ofakit.retrieval.reranking import rerank
from ofakit.retrieval.run import Run
from ofakit.retrieval.searchers.base import SearchContext, Searcher

__all__ = ["Rerank"]


class Rerank(Searcher):
    """Puts the best passages of a run in a model's order; what is beyond them follows.

    Args:
        model: Directory or hub id of the model that scores pairs.
        of: The run whose passages they are: the name of a searcher, or `fused`.
        depth: How many passages of a ranking the model scores, from 1 up.
        max_length: Tokens of question and passage together, for a cross-encoder; None: as many as it takes.
        label: The label that means relevant, of a cross-encoder with three or more.

    Raises:
        UsageError: `depth` is below 1.
    """

    def __init__(
        self, model: str, of: str = "fused", depth: int = 50, max_length: int | None = None, label: str | None = None
    ) -> None:
        if depth < 1:
            raise UsageError(f"rerank: expected a depth of at least 1 passage, found {depth}", "depth")
        self.model, self.of, self.depth = model, of, depth
        given = {"max_length": max_length, "label": label}
        self.options = {key: value for key, value in given.items() if value is not None}
        self.base: PassageBase
        self.context = SearchContext()
        self.scorer: PairScorer | None = None

    def prepare(self, base: PassageBase, context: SearchContext) -> None:
        """Take a base, and read the model where it was not read before.

        Args:
            base: The passages.
            context: Says how titles stand in front, and where and how precisely to compute.

        Raises:
            UsageError: There is no such model.
        """
        self.base, self.context = base, context
        if self.scorer is None:
            device = None if context.processes is None else str(context.processes.device)
            separator, precision = context.section.title_separator, context.precision
            self.scorer = load_pair_scorer(self.model, False, separator, device, precision, **self.options)

    def search(self, queries: Sequence[Query], k: int) -> Run:
        """It finds nothing by itself.

        Args:
            queries: Not looked at.
            k: Not looked at.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"rerank reorders the passages of another run, {self.of!r}; it does not find any by itself")

    def rerank(self, queries: Sequence[Query], run: Run) -> Run:
        """Another run in the model's order.

        Args:
            queries: What was asked.
            run: That of the searcher `of`.
        """
        if self.scorer is None:
            raise UsageError("rerank: call prepare with a knowledge base first")
        return rerank(run, queries, self.base, self.scorer, self.depth, self.context.processes)

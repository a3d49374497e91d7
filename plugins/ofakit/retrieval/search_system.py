"""All searchers of a configuration over one base, and their fusion: from queries to the runs that are scored.

system = SearchSystem(config.retrieval)
system.prepare(base, SearchContext(bundle=bundle))
system.fit(val_queries, Qrels.of(val_queries))
runs = system.rank(queries)                       # {"bm25": Run, "dense": Run, "fused": Run}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from ofakit.config.retrieval import FusionSection, RetrievalSection
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.errors import UsageError, did_you_mean
from ofakit.retrieval.fusion import fuse
from ofakit.retrieval.fusion_weights import fit_weights
from ofakit.retrieval.indexes import INDEXES
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run
from ofakit.retrieval.searchers import SEARCHERS
from ofakit.retrieval.searchers.base import SearchContext, Searcher

__all__ = ["FUSED", "SearchSystem"]

FUSED = "fused"
"""What the joined run is called."""


class SearchSystem:
    """Searchers and their fusion.

    Args:
        section: The section `retrieval`.
        fitted: What was chosen before, by searcher, and the weights of the fusion as `fused`.
        naming: Given the parts of a key, a context that names the file of an error about it.

    Raises:
        UsageError: A searcher or its keys are unknown, or one is called `fused`.

    Attributes:
        fitted: What was chosen; it grows with `fit`.
    """

    def __init__(
        self,
        section: RetrievalSection,
        fitted: Mapping[str, Any] | None = None,
        naming: Callable[..., AbstractContextManager] = lambda *key: nullcontext(),
    ) -> None:
        self.section = section
        with naming("retrieval", "index", "engine"):
            INDEXES.get(section.index.engine)
        self.searchers: dict[str, Searcher] = {}
        for name, component in section.searchers.items():
            with naming("retrieval", "searchers", name):
                if name == FUSED:
                    raise UsageError(f"a searcher cannot be called {FUSED!r}: that is the name of the fused run")
                self.searchers[name] = SEARCHERS.build(component.model_dump())
                self._refuse_order(name)
        if not self._finding:
            raise UsageError("retrieval.searchers: expected at least one that searches by itself, found none")
        self.fitted: dict[str, Any] = {}
        self._prepared: dict[str, PassageBase] = {}
        self.take(fitted or {})

    def take(self, fitted: Mapping[str, Any]) -> None:
        """Search with what was chosen before.

        Args:
            fitted: By searcher, and the weights of the fusion as `fused`.
        """
        self.fitted = dict(fitted)
        for name, searcher in self.searchers.items():
            searcher.take(self.fitted.get(name, {}))

    @property
    def _finding(self) -> list[str]:
        """The searchers that search by themselves."""
        return [name for name, searcher in self.searchers.items() if searcher.of is None]

    @property
    def _ordering(self) -> list[str]:
        """Those that put another run in order."""
        return [name for name, searcher in self.searchers.items() if searcher.of is not None]

    def _refuse_order(self, name: str) -> None:
        """Refuse a searcher that orders what there is not before it."""
        of, before = self.searchers[name].of, list(self.searchers)[:-1]
        if of is not None and of not in (*before, FUSED):
            raise UsageError(f"no searcher {of!r} before {name!r}: {did_you_mean(of, [*before, FUSED])}", "of")

    @property
    def fuses(self) -> bool:
        """Whether there is a joined run."""
        return self.section.fusion.method != "none" and len(self._finding) > 1

    @property
    def main(self) -> str:
        """The name of the run that counts: the last one that is put in order, the joined one, or the last."""
        fused = [FUSED] if self.fuses and not self.needs_fitting else []
        return [*self._finding[-1:], *fused, *self._ordering[-1:]][-1]

    def prepare(self, base: PassageBase, context: SearchContext) -> None:
        """Let every searcher take a base; one that does not change with the model takes the same base only once.

        Args:
            base: The passages.
            context: What searchers work with; its `section` is this system's.
        """
        context = replace(context, section=self.section)
        for name, searcher in self.searchers.items():
            if searcher.learns or self._prepared.get(name) is not base:
                searcher.prepare(base, context)
                self._prepared[name] = base

    def fit(self, queries: Sequence[Query], qrels: Qrels) -> dict[str, Run]:
        """Choose on validation queries what the configuration leaves open; called after `prepare`.

        Args:
            queries: Of the validation split.
            qrels: What answers them.

        Returns:
            Their runs, as `rank` gives them.
        """
        for name, searcher in self.searchers.items():
            if searcher.learns or name not in self.fitted:
                chosen = searcher.fit(queries, qrels, self.section.fusion.fitted_by)
                if chosen:
                    self.fitted[name] = dict(chosen)
                    searcher.take(chosen)
        runs = self._found(queries)
        if self.fuses and self.section.fusion.method == "weighted_sum" and self.section.fusion.weights is None:
            self.fitted[FUSED] = fit_weights(runs, qrels, self.section.fusion)
        return self._with_order(self._with_fused(runs), queries)

    @property
    def needs_fitting(self) -> bool:
        """Whether the joined run has no weights yet."""
        section = self.section.fusion
        return self.fuses and section.method == "weighted_sum" and section.weights is None and FUSED not in self.fitted

    def rank(self, queries: Sequence[Query]) -> dict[str, Run]:
        """Rank passages.

        Args:
            queries: What is asked.

        Returns:
            A run by searcher, cut to `depth`, and the joined one where there are several searchers and its weights are
            known.
        """
        return self._with_order(self._with_fused(self._found(queries)), queries)

    def _found(self, queries: Sequence[Query]) -> dict[str, Run]:
        depth = max(self.section.depth, self.section.candidates or 0)
        found = {}
        for name in self._finding:
            found[name] = self.searchers[name].search(queries, depth)
            found[name].name = name
        return found

    def _with_order(self, runs: Mapping[str, Run], queries: Sequence[Query]) -> dict[str, Run]:
        """The runs, and those that searchers make of them by putting them in another order."""
        found = dict(runs)
        for name in self._ordering:
            of = str(self.searchers[name].of)
            if of not in found:
                raise UsageError(
                    f"{name!r} reorders the run {of!r}, which does not exist: {did_you_mean(of, found)}", "of"
                )
            found[name] = self.searchers[name].rerank(queries, found[of])
            found[name].name = name
        return found

    def _with_fused(self, runs: Mapping[str, Run]) -> dict[str, Run]:
        """The runs cut to their depth, and the joined one of what they were before."""
        depth = self.section.depth
        cut = {name: run.cut(depth) for name, run in runs.items()}
        if not self.fuses or self.needs_fitting:
            return cut
        return {**cut, FUSED: fuse(runs, self._fusion(), FUSED).cut(depth)}

    def _fusion(self) -> FusionSection:
        """The section with the weights that were fitted."""
        section = self.section.fusion
        if section.weights is not None or section.method != "weighted_sum":
            return section
        return section.model_copy(update={"weights": self.fitted[FUSED]})

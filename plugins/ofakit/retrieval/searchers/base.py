"""What a searcher is: it is given a base once, and then ranks its passages for queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ofakit.config.retrieval import RetrievalSection
from ofakit.data.passage_base import PassageBase
from ofakit.data.query import Query
from ofakit.processes import Processes
from ofakit.retrieval.qrels import Qrels
from ofakit.retrieval.run import Run

if TYPE_CHECKING:
    from ofakit.hub import RetrievalBundle

__all__ = ["SearchContext", "Searcher"]


@dataclass(frozen=True)
class SearchContext:
    """What searchers work with besides their own keys.

    Attributes:
        section: The section `retrieval`.
        bundle: The retriever of the experiment; None where no searcher needs one.
        processes: Those that search together; every process gets all rankings.
        folder: Where indexes are kept; None keeps them in memory.
        batch_size: Items that are encoded at once.
        precision: In which encoders compute.
    """

    section: RetrievalSection = field(default_factory=RetrievalSection)
    bundle: RetrievalBundle | None = None
    processes: Processes | None = None
    folder: Path | None = None
    batch_size: int = 64
    precision: str = "fp32"


class Searcher(ABC):
    """Ranks the passages of a base. Its constructor takes the keys of its configuration.

    Attributes:
        learns: Whether what it gives changes with the weights of the experiment's model.
        of: The run whose passages it puts in order, by `rerank`; None searches by itself.
    """

    learns: ClassVar[bool] = False
    of: str | None = None

    @abstractmethod
    def prepare(self, base: PassageBase, context: SearchContext) -> None:
        """Take a base: index or encode it. Called again, it takes another one.

        Args:
            base: The passages.
            context: What it works with.

        Raises:
            UsageError: The base or the model lacks what it searches by.
        """

    @abstractmethod
    def search(self, queries: Sequence[Query], k: int) -> Run:
        """Rank passages.

        Args:
            queries: What is asked.
            k: Passages of each ranking, at most.

        Returns:
            A ranking for each query; one with nothing to search by has an empty ranking.
        """

    def rerank(self, queries: Sequence[Query], run: Run) -> Run:
        """Put the passages of another run in order; only of a searcher that has `of`.

        Args:
            queries: What was asked.
            run: The run that `of` names.
        """
        raise NotImplementedError(f"{type(self).__name__} searches by itself")

    def fit(self, queries: Sequence[Query], qrels: Qrels, metric: str) -> Mapping[str, Any]:
        """Choose on validation queries what its configuration leaves open; called after `prepare`.

        Args:
            queries: Of the validation split.
            qrels: What answers them.
            metric: The score to choose by.

        Returns:
            What was chosen, for `take`; empty where nothing was open.
        """
        return {}

    def take(self, fitted: Mapping[str, Any]) -> None:  # noqa: B027 (a searcher may have nothing to choose)
        """Use what `fit` chose before.

        Args:
            fitted: From `fit`.
        """

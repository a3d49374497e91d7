"""How a knowledge base is searched and how rankings are fused: the sections below `retrieval`.

    {"retrieval": {"searchers": {"bm25": {"type": "bm25"}, "dense": {"type": "dense", "query": ["text", "image"]}},
                   "fusion": {"normalization": "zscore"}, "depth": 100}}

A searcher's `type` is a file of `ofakit/retrieval/searchers`; its other keys are checked against that file's arguments.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ofakit.config.component import Component
from ofakit.config.section import SEEDS, Section

__all__ = ["FusionSection", "IndexSection", "RetrievalSection"]


class IndexSection(Section):
    """How vectors are indexed."""

    engine: str = Field(
        "exact", description="a file of ofakit/retrieval/indexes: exact search in numpy, FAISS, or Milvus"
    )
    factory: str = Field(
        "Flat",
        description="FAISS factory string, such as HNSW32 or IVF1024,SQfp16; for Milvus a type of index, such as "
        "HNSW32 or IVF1024_SQ8",
    )
    metric: Literal["ip", "cosine", "l2"] = Field(
        "ip", description="inner product, cosine, or negated squared distance; higher is better in each"
    )
    dtype: Literal["float32", "float16"] = Field("float32", description="type in which vectors are stored")
    nprobe: int = Field(16, ge=1, le=10_000_000, description="lists that an IVF index probes")
    ef_search: int = Field(64, ge=1, le=1_000_000, description="candidates that an HNSW index keeps during search")
    ef_construction: int = Field(
        100, ge=1, le=1_000_000, description="candidates that an HNSW index keeps during construction"
    )
    train_size: int = Field(
        200_000, ge=1, le=1_000_000_000, description="vectors that an IVF, PQ or SQ index is trained on"
    )
    seed: int = Field(0, ge=0, le=SEEDS, description="seed for drawing those vectors")
    address: str | None = Field(None, description="address of a Milvus server; null: a file beside the index")


class FusionSection(Section):
    """How the runs of several searchers are fused into one, called `fused`."""

    of: list[str] | None = Field(None, min_length=2, description="searchers to fuse; null: all of them")
    method: Literal["weighted_sum", "mnz", "rrf", "none"] = Field(
        "weighted_sum",
        description="sum of normalised scores; mnz: times the number of runs that found the passage; reciprocal rank "
        "fusion; or no fusion",
    )
    normalization: Literal["zscore", "zscore_per_query", "min_max", "rank", "none"] = Field(
        "zscore", description="zscore: over all queries, as in ViQuAE"
    )
    missing: Literal["minimum", "zero"] = Field(
        "minimum",
        description="score of a passage that a run does not contain: the lowest of its query, set before "
        "normalising, or zero, set after",
    )
    weights: dict[str, Annotated[float, Field(ge=-1e6, le=1e6)]] | None = Field(
        None, description="weight of each searcher; null: those that are best on the validation split"
    )
    fitted_by: str = Field("mrr@100", description="score by which weights are chosen on the validation split")


class RetrievalSection(Section):
    """How the knowledge base is searched, and how rankings are scored."""

    searchers: dict[str, Component] = Field(
        default_factory=lambda: {"bm25": Component(type="bm25"), "dense": Component(type="dense")},
        description="searchers by name; their scores are reported under it",
    )
    fusion: FusionSection = Field(default_factory=FusionSection)
    index: IndexSection = Field(default_factory=IndexSection)
    positives: int = Field(1, ge=1, le=10_000, description="most relevant passages per training question")
    hard_negatives: int = Field(
        0, ge=0, le=10_000, description="most passages of `data.negatives` per training question"
    )
    depth: int = Field(100, ge=1, le=10_000_000, description="passages per ranking")
    candidates: int | None = Field(
        None, ge=1, le=10_000_000, description="passages that each searcher contributes to the fusion; null: `depth`"
    )
    title_separator: str | None = Field(
        " ", description="separator between a passage's title and its text; null: only the text is searched"
    )
    relevance: Literal["provenance", "pooled"] = Field(
        "provenance",
        description="which passages are relevant: those judged so; or, pooled, also retrieved passages that contain "
        "an answer",
    )
    evaluation_unit: Literal["passage", "article"] = Field(
        "passage", description="what is scored: rankings of passages, or of articles, each ranked by its best passage"
    )
    metrics: list[str] = Field(
        default=["map", "mrr@100", "p@1", "p@20", "hit@20", "ndcg@10"], description="scores of ofakit/scores/ranking.py"
    )

    def over(self, other: RetrievalSection) -> RetrievalSection:
        """These settings, and where they leave something open those of another section.

        Args:
            other: Such as what a retriever was trained with.
        """
        return RetrievalSection(**{**other.model_dump(), **self.model_dump(exclude_unset=True)})

    @model_validator(mode="after")
    def _metrics_that_pooled_relevance_has(self) -> RetrievalSection:
        """Of the usual scores those that do not need to know all that is relevant."""
        if self.relevance == "pooled" and "metrics" not in self.model_fields_set:
            self.metrics = [name for name in self.metrics if name != "map"]
        return self

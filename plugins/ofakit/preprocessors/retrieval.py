"""A training question becomes tensors: the question, passages that answer it, and hard negatives.

    {"retrieval": {"positives": 1, "hard_negatives": 1}}

Which of several passages a question comes with is drawn again in each epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ofakit.data.passage_base import PassageBase
from ofakit.data.training_question import TrainingQuestion
from ofakit.preprocessors.sides import SideInputs

__all__ = ["CollateRetrieval", "RetrievalPreprocessor"]


class RetrievalPreprocessor:
    """From a training question to what both sides read of it.

    Args:
        query: How questions are read.
        passage: How passages are read.
        base: The passages.
        positives: Passages that answer a question that come with it, at most.
        hard_negatives: Passages that seem to answer it that come with it, at most.
        teacher: A teacher's score by question and passage id; None without a teacher.
    """

    def __init__(
        self,
        query: SideInputs,
        passage: SideInputs,
        base: PassageBase,
        positives: int = 1,
        hard_negatives: int = 0,
        teacher: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        self.query = query
        self.passage = passage
        self.base = base
        self.positives = positives
        self.hard_negatives = hard_negatives
        self.teacher = teacher

    def __call__(
        self,
        data: TrainingQuestion,
        rng: np.random.Generator | None = None,
        pixels: Callable[[str], np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """The tensors of one question.

        Args:
            data: The question.
            rng: Draws passages and cuts; None draws from NumPy's entropy.
            pixels: Gives decoded images by path.

        Returns:
            `query`, what the encoder of questions reads; `passages`, a list of what that of passages reads, the
            positives first; `query_index`; `passage_index` (n,) int64 and `positive` (n,) bool; with a teacher also
            `teacher` (n,) float32, NaN where it has no score.

        Raises:
            BadImage: An image is missing or cannot be read.
        """
        rng = rng or np.random.default_rng()
        right = _drawn(data.relevant, self.positives, rng)
        places = [*right, *_drawn(data.negatives, self.hard_negatives, rng)]
        passages = [self.base[place] for place in places]
        sample: dict[str, Any] = {
            "query": self.query.sample(data.query, pixels, rng),
            "passages": self.passage.samples(passages, pixels, rng),
            "query_index": data.query_index,
            "passage_index": torch.tensor([data.numbers[place] for place in places]),
            "positive": torch.arange(len(places)) < len(right),
        }
        if self.teacher is not None:
            own = self.teacher.get(data.query.id, {})
            sample["teacher"] = torch.tensor([own.get(passage.id, float("nan")) for passage in passages])
        return sample


class CollateRetrieval:
    """Join samples of questions; picklable, for `DataLoader(collate_fn=…)`.

    Args:
        query: How questions are read.
        passage: How passages are read.
    """

    def __init__(self, query: SideInputs, passage: SideInputs) -> None:
        self.query = query
        self.passage = passage

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Join samples.

        Args:
            samples: From `RetrievalPreprocessor`, with `index` where they come from an `ExampleDataset`.

        Returns:
            `query` and `passage`, dicts of tensors, of B questions and their N passages; `query_index` (B,),
            `passage_index` and `owner` (N,), `positive` (N,) bool, perhaps `teacher` (N,); `index` (B,). What
            objectives added keeps its name with a `/`, stacked.
        """
        owners = [torch.full((len(s["passages"]),), s["query_index"], dtype=torch.int64) for s in samples]
        batch: dict[str, Any] = {
            "query": self.query.collate([sample["query"] for sample in samples]),
            "passage": self.passage.collate([passage for sample in samples for passage in sample["passages"]]),
            "query_index": torch.tensor([sample["query_index"] for sample in samples]),
            "passage_index": torch.cat([sample["passage_index"] for sample in samples]),
            "owner": torch.cat(owners),
            "positive": torch.cat([sample["positive"] for sample in samples]),
        }
        for key in sorted(key for key in samples[0] if "/" in key):
            batch[key] = torch.stack([sample[key] for sample in samples])
        if "teacher" in samples[0]:
            batch["teacher"] = torch.cat([sample["teacher"] for sample in samples])
        if "index" in samples[0]:
            batch["index"] = torch.tensor([sample["index"] for sample in samples])
        return batch


def _drawn(places: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """Some of the places, each at most once, in the order in which they are drawn."""
    if len(places) <= 1 and count:
        return list(places)
    return [int(place) for place in rng.permutation(np.asarray(places, dtype=np.int64))[:count]]

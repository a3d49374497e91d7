"""What objectives add to a sample: their own prompt, source and target, under their own name.

An objective with a `view(example, rng) -> dict of tensors` of its own sees every training example; the entry `target`
of the objective `mlm` is `mlm/target` in the sample and in the batch. Its randomness depends on (seed, epoch, position)
alone, and another objective beside it changes neither it nor the image's cut. In a run of several tasks an objective
called `caption.mlm` sees the examples whose `part` is `caption`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["with_views"]


def with_views(preprocessor: Callable[..., dict[str, Any]], objectives: Mapping[str, Any]) -> Callable[..., Any]:
    """A preprocessor that adds the views of objectives.

    Args:
        preprocessor: Called as `preprocessor(example, rng=…, pixels=…)`.
        objectives: By name, each an `ofakit.objectives.base.Objective`; those without a view are passed over.
    """
    viewing = {name: objective for name, objective in objectives.items() if objective.has_view()}
    return _WithViews(preprocessor, viewing) if viewing else preprocessor


class _WithViews:
    """Picklable, for workers of any start method."""

    def __init__(self, preprocessor: Callable[..., dict[str, Any]], objectives: Mapping[str, Any]) -> None:
        self.preprocessor = preprocessor
        self.objectives = dict(objectives)

    def __call__(self, example: Any, rng: np.random.Generator, pixels: np.ndarray | None = None) -> dict[str, Any]:
        sample = self.preprocessor(example, rng=rng, pixels=pixels)
        start = int(rng.integers(2**32))
        for name, objective in self.objectives.items():
            if objective.part is not None and objective.part != example.part:
                continue
            key_name = name.removeprefix(f"{objective.part}.")
            own = np.random.default_rng([start, zlib.crc32(name.encode())])
            sample |= {f"{key_name}/{key}": value for key, value in objective.view(example, own).items()}
        return sample

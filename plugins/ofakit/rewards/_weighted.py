"""The weighted sum of several rewards.

[{"type": "cider_d", "weight": 1.0}, {"type": "style_accuracy", "weight": 0.5}]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ofakit.errors import UsageError
from ofakit.rewards import REWARDS

__all__ = ["WeightedRewards"]


class WeightedRewards:
    """Several rewards as one; picklable.

    Args:
        specs: For each reward its `type`, its `weight` (1 if left out) and its own arguments.

    Raises:
        UsageError: There is none, one is listed twice, or one has an unknown type or argument.
    """

    def __init__(self, specs: Sequence[Mapping[str, Any]]) -> None:
        if not specs:
            raise UsageError(f"expected at least one reward, found none; available: {', '.join(REWARDS.names())}")
        names = [str(spec.get("type")) for spec in specs]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"expected each reward once, found {name!r} {names.count(name)} times")
        self.weights = {name: REWARDS.weight(spec) for name, spec in zip(names, specs, strict=True)}
        self.rewards = {
            name: REWARDS.build({key: value for key, value in spec.items() if key != "weight"})
            for name, spec in zip(names, specs, strict=True)
        }

    def prepare(self, references: Sequence[Sequence[str]], styles: Sequence[str | None]) -> None:
        """Give the training examples to every reward that has a `prepare` of its own.

        Args:
            references: Of each example.
            styles: Of each example.
        """
        for reward in self.rewards.values():
            if hasattr(reward, "prepare"):
                reward.prepare(references, styles)

    def __call__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], styles: Sequence[str | None]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Reward candidates.

        Args:
            candidates: One caption an item.
            references: All references of each item.
            styles: The style each item was asked for, or None.

        Returns:
            The weighted sum, (items,) float64, and each reward by its name, without its weight.

        Raises:
            UsageError: A reward does not give one number per candidate.
        """
        parts = {
            name: _one_each(name, reward(candidates, references, styles), len(candidates))
            for name, reward in self.rewards.items()
        }
        total = np.zeros(len(candidates))
        for name, values in parts.items():
            total += self.weights[name] * values
        return total, parts


def _one_each(name: str, values: Any, items: int) -> np.ndarray:
    """The values of a reward; one of another shape would be spread over the items without a word."""
    rewards = np.asarray(values, np.float64)
    if rewards.shape != (items,):
        raise UsageError(f"reward {name!r}: expected {items} numbers, one per candidate, found shape {rewards.shape}")
    return rewards

"""Every combination of the parameters.

{"search": {"type": "grid"}, "parameters": {"seed": [1, 2, 3], "train.max_epochs": [1, 2]}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ofakit.sweeps.search_base import Search
from ofakit.sweeps.space import Parameter, grid

__all__ = ["GridSearch"]


class GridSearch(Search):
    """Every combination; the last parameter changes fastest."""

    type: Literal["grid"] = "grid"

    def plan(self, space: Mapping[str, Parameter], seed: int) -> list[dict[str, Any]]:
        """All combinations.

        Args:
            space: The parameters: lists, or ranges with step or points.
            seed: Unused.
        """
        return grid(space)

"""Random combinations, which beat a grid where only some parameters matter (Bergstra and Bengio 2012).

    {"search": {"type": "random", "runs": 12}}

https://jmlr.org/papers/v13/bergstra12a.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from ofakit.sweeps.search_base import Search
from ofakit.sweeps.space import Parameter, draw

__all__ = ["RandomSearch"]


class RandomSearch(Search):
    """Random combinations, no two alike."""

    type: Literal["random"] = "random"
    runs: int = Field(ge=1, le=1_000_000_000, description="number of runs; raising it later adds runs and repeats none")

    def plan(self, space: Mapping[str, Parameter], seed: int) -> list[dict[str, Any]]:
        """As many random combinations as there are runs.

        Args:
            space: The parameters.
            seed: Of the random choice.
        """
        return draw(space, self.runs, seed)

"""Asynchronous successive halving: many random runs start, and at every rung only the better ones go on.

    {"search": {"type": "asha", "runs": 27, "max_steps": 900, "grace_steps": 100, "reduction_factor": 3}}

Li et al. 2020, https://arxiv.org/abs/1810.05934, by Ray Tune's ASHAScheduler (`--engine ray`). The same on this
machine without Ray: {"type": "tpe", "startup_runs": RUNS, "pruning": {"type": "halving"}}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from ofakit.sweeps.search_base import Search
from ofakit.sweeps.space import Parameter, draw

__all__ = ["ASHASearch"]


class ASHASearch(Search):
    """Random combinations; Ray's scheduler ends the worse ones early."""

    engines: ClassVar[tuple[str, ...]] = ("ray",)
    type: Literal["asha"] = "asha"
    runs: int = Field(ge=1, le=1_000_000, description="number of runs to start")
    max_steps: int = Field(ge=1, le=1_000_000_000, description="updates of a run that is not ended early")
    grace_steps: int = Field(ge=1, le=1_000_000_000, description="updates before any run is ended")
    reduction_factor: float = Field(4, gt=1, le=1000, description="one run in this many continues at every rung")

    @model_validator(mode="after")
    def _grace_is_shorter(self) -> ASHASearch:
        if self.grace_steps > self.max_steps:
            raise ValueError(f"grace_steps {self.grace_steps} is more than max_steps {self.max_steps}")
        return self

    def plan(self, space: Mapping[str, Parameter], seed: int) -> list[dict[str, Any]]:
        """As many random combinations as there are runs.

        Args:
            space: The parameters.
            seed: Of the random choice.
        """
        return draw(space, self.runs, seed)

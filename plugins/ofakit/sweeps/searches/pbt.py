"""Population-based training: runs train side by side, and the worst take over weights and parameters of the best.

    {"search": {"type": "pbt", "runs": 4, "max_steps": 800, "interval_steps": 100}}

Jaderberg et al. 2017, https://arxiv.org/abs/1711.09846, by Ray Tune's scheduler (`--engine ray`). A run that takes over
starts again from the better run's snapshot (`--checkpoint`) with slightly changed parameters of that run, and trains
for the steps that are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from ofakit.sweeps.search_base import Search
from ofakit.sweeps.space import Parameter, draw

__all__ = ["PBTSearch"]


class PBTSearch(Search):
    """Random combinations to start with; Ray's scheduler changes them along the way."""

    engines: ClassVar[tuple[str, ...]] = ("ray",)
    type: Literal["pbt"] = "pbt"
    runs: int = Field(
        ge=2,
        le=1_000_000_000,
        description="size of the population; all members train at once, or take turns if parallel is lower",
    )
    max_steps: int = Field(ge=2, le=1_000_000_000, description="total updates per run; sets train.max_steps")
    interval_steps: int = Field(ge=1, le=1_000_000_000, description="updates between two comparisons of the population")
    quantile: float = Field(
        0.25, gt=0, le=0.5, description="share of the population that is replaced by the best share"
    )
    resample: float = Field(
        0.25, ge=0, le=1, description="probability that a parameter is drawn again instead of perturbed"
    )

    @model_validator(mode="after")
    def _interval_is_shorter(self) -> PBTSearch:
        if self.interval_steps >= self.max_steps:
            raise ValueError(f"interval_steps {self.interval_steps} is not less than max_steps {self.max_steps}")
        return self

    def plan(self, space: Mapping[str, Parameter], seed: int) -> list[dict[str, Any]]:
        """The parameters that the population starts with.

        Args:
            space: The parameters.
            seed: Of the random choice.
        """
        return draw(space, self.runs, seed)

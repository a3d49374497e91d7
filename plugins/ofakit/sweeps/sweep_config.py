"""Every key of a sweep's JSON file, with its unit, range and default.

{"base": "../quickstart.json",
 "set": {"train.max_steps": 20},
 "parameters": {"train.optimizer.lr": {"low": 1e-5, "high": 1e-3, "log": true}, "seed": [1, 2, 3]},
 "search": {"type": "random", "runs": 12},
 "metric": "cider", "rule": "max"}
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializeAsAny, create_model, model_validator

from ofakit.config.section import SEEDS, PathText, Section
from ofakit.errors import UsageError
from ofakit.sweeps.search_base import Search
from ofakit.sweeps.searches import SEARCHES
from ofakit.sweeps.space import Parameter

__all__ = ["COLUMNS", "SweepConfig"]

COLUMNS = ("number", "parameters", "work_dir", "status", "seconds", "error", "result", "evaluations")
"""What a run's record holds besides its metric."""


class SweepConfig(Section):
    """One sweep. `extends` names a base file of the same kind, relative to the file itself."""

    description: str = Field("", description="purpose of the sweep")
    work_dir: PathText = Field("work_dir/sweep", description="the sweep's directory; its runs are in runs/<number>")
    base: PathText = Field(
        description="configuration of every run; a relative path is relative to the file that names it"
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        alias="set",
        description="dotted keys of the base that every run overrides; {sweep} stands for work_dir",
    )
    parameters: dict[str, Parameter] = Field(min_length=1, description="dotted keys of the base that vary, and how")
    search: SerializeAsAny[Search] = Field(description="how the runs' parameters are chosen: a type and its keys")
    seed: int = Field(
        7, ge=0, le=SEEDS, description="seed of the search; runs use the base's seed unless it is a parameter"
    )
    metric: str = Field("cider", min_length=1, description="a number in a run's result; dotted for a nested one")
    rule: Literal["max", "min"] = Field("max", description="whether a higher or a lower metric is better")
    evaluation: str | None = Field(
        None, description="key of metrics.jsonl that is monitored while a run trains; null: evaluation/<metric>"
    )
    parallel: int = Field(1, ge=1, le=10_000, description="number of parallel runs")
    threads: int | None = Field(None, ge=1, le=10_000, description="processor threads per run; null: an even share")
    devices: list[str] | None = Field(
        None,
        min_length=1,
        description="CUDA_VISIBLE_DEVICES of each parallel run, in turn; null: every run sees all GPUs",
    )
    max_failures: int = Field(5, ge=1, le=1_000_000, description="consecutive failed runs after which the sweep stops")
    keep_weights: Literal["all", "best"] = Field(
        "all", description="which runs keep their model directories and snapshots"
    )
    command: list[str] | None = Field(
        None, min_length=1, description="command of a run, without its arguments; null: the fine-tuning tool"
    )

    @model_validator(mode="after")
    def _names_do_not_clash(self) -> SweepConfig:
        if self.metric in COLUMNS:
            raise ValueError(f"the metric cannot be called {self.metric!r}: the sweep has a column of that name")
        if "work_dir" in self.parameters or "work_dir" in flatten(self.overrides):
            raise ValueError("every run has its own work_dir; it can be neither set nor a parameter")
        return self

    @classmethod
    def for_search(cls, search: Any) -> type[SweepConfig]:
        """The same schema, with the keys of one search under `search`.

        Args:
            search: What a file has under `search`.

        Raises:
            UsageError: It has no type, or there is no search of that type.
        """
        if not isinstance(search, dict) or not isinstance(search.get("type"), str):
            known = ", ".join(SEARCHES.names())
            raise UsageError(f"search: expected an object with a type, one of {known}; found {search!r}")
        return create_model(cls.__name__, __base__=cls, search=(SEARCHES.get(search["type"]), ...))

    @property
    def watched(self) -> str:
        """The key of metrics.jsonl that stands for the metric while a run trains."""
        return self.evaluation or f"evaluation/{self.metric.rpartition('.')[2]}"


def flatten(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Nested overrides as dotted keys; an object with a `type` is one value, because it replaces the base's.

    Args:
        values: Overrides, nested or dotted.
        above: The dotted key of what holds them, with a dot at its end.

    >>> flatten({"train.max_steps": 20, "train": {"optimizer": {"lr": 0.1}}})
    {'train.max_steps': 20, 'train.optimizer.lr': 0.1}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value and "type" not in value:
            flat |= flatten(value, f"{above}{key}.")
        else:
            flat[above + key] = value
    return flat

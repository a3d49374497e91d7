"""Bayesian optimisation with tree-structured Parzen estimators, which also ends hopeless runs, by Optuna.

    {"search": {"type": "tpe", "runs": 30, "pruning": {"type": "median", "warmup_steps": 200}}}

Bergstra et al. 2011, https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization; Akiba et al. 2019,
https://arxiv.org/abs/1907.10902. Optuna is optional: `pip install "ofakit[sweeps]"`.

The sweep's own records are the only memory: after a kill Optuna is told about all of them again. Its journal file would
be a second one, which a kill can leave locked for half a minute, or with half a line that Optuna then refuses to read.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from ofakit.config.section import Section
from ofakit.errors import UsageError
from ofakit.sweeps.search_base import Search
from ofakit.sweeps.space import Parameter

if TYPE_CHECKING:
    from ofakit.sweeps.record import Record

__all__ = ["TPESearch"]


class Pruning(Section):
    """When a run is ended early, judged by the evaluations it writes while it trains."""

    type: Literal["median", "halving", "hyperband"] = Field(
        "median",
        description="end runs early: if worse than the median of the others, by successive halving, or by Hyperband; "
        "null: never",
    )
    startup_runs: int = Field(
        4, ge=0, le=1_000_000_000, description="median: runs that finish before any is ended early"
    )
    warmup_steps: int = Field(0, ge=0, le=1_000_000_000, description="updates of a run before it may be ended early")
    reduction_factor: int = Field(
        3, ge=2, le=1_000_000_000, description="halving and hyperband: one run in this many continues"
    )
    max_steps: int | None = Field(
        None, ge=1, le=1_000_000_000, description="hyperband: updates of a full run; null: estimated by Optuna"
    )


class TPESearch(Search):
    """Each run's parameters follow from the results of those before it."""

    engines: ClassVar[tuple[str, ...]] = ("local",)
    type: Literal["tpe"] = "tpe"
    runs: int = Field(ge=1, le=1_000_000_000, description="number of runs; raising it later adds runs and repeats none")
    startup_runs: int = Field(10, ge=0, le=1_000_000_000, description="random runs before the results count")
    pruning: Pruning | None = Field(None, description="null: every run is completed")

    _optuna: Any = PrivateAttr(None)
    _study: Any = PrivateAttr(None)
    _distributions: dict[str, Any] = PrivateAttr(default_factory=dict)
    _trials: dict[int, Any] = PrivateAttr(default_factory=dict)
    _reported: dict[int, set[int]] = PrivateAttr(default_factory=dict)
    _seed: int = PrivateAttr(0)

    def begin(self, space: Mapping[str, Parameter], seed: int, rule: Literal["max", "min"]) -> None:
        """Make an empty study.

        Args:
            space: The parameters.
            seed: Of every random choice.
            rule: Whether a higher or a lower metric is better.

        Raises:
            UsageError: Optuna is not installed.
        """
        self._optuna = _import_optuna()
        self._seed = seed
        self._distributions = {key: _distribution(self._optuna, parameter) for key, parameter in space.items()}
        self._study = self._optuna.create_study(
            direction="maximize" if rule == "max" else "minimize", pruner=self._pruner()
        )

    @property
    def total(self) -> int:
        """How many runs there will be."""
        return self.runs

    def propose(self, number: int) -> dict[str, Any]:
        """What Optuna asks to try next.

        Args:
            number: The run's number.
        """
        # Each run has its own seed: a sampler that starts afresh after a kill must not repeat the first run's numbers.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._optuna.exceptions.ExperimentalWarning)
            self._study.sampler = self._optuna.samplers.TPESampler(
                n_startup_trials=self.startup_runs, constant_liar=True, seed=self._seed * 100_003 + number
            )
        self._trials[number] = self._study.ask(self._distributions)
        return self._decode(self._trials[number].params)

    def recall(self, record: Record) -> None:
        """Tell Optuna about a run that ended in an earlier session.

        Args:
            record: What is known about it.
        """
        states = self._optuna.trial.TrialState
        state = {"done": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[record.status]
        self._study.add_trial(
            self._optuna.trial.create_trial(
                state=state,
                value=None if record.status == "failed" else record.score,
                params=self._encode(record.parameters),
                distributions=self._distributions,
                intermediate_values={} if record.status == "failed" else dict(record.evaluations),
            )
        )

    def reopen(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Tell Optuna about a run that continues.

        Args:
            number: The run's number.
            parameters: What it was started with.
        """
        self._study.enqueue_trial(self._encode(parameters))
        self._trials[number] = self._study.ask(self._distributions)

    def report(self, number: int, step: int, value: float) -> bool:
        """Ask the pruner whether a run is hopeless.

        Args:
            number: The run's number.
            step: Updates done.
            value: The metric.
        """
        trial, reported = self._trials[number], self._reported.setdefault(number, set())
        if step in reported:
            return False
        reported.add(step)
        trial.report(value, step)
        return trial.should_prune()

    def finish(self, record: Record) -> None:
        """Tell Optuna how a run ended.

        Args:
            record: What is known about it.
        """
        states = self._optuna.trial.TrialState
        trial = self._trials[record.number]
        if record.status == "done":
            self._study.tell(trial, record.score)
        else:
            self._study.tell(trial, state=states.PRUNED if record.status == "pruned" else states.FAIL)

    def _pruner(self) -> Any:
        """Optuna's pruner for our keys."""
        pruners, pruning = self._optuna.pruners, self.pruning
        if pruning is None:
            return pruners.NopPruner()
        if pruning.type == "median":
            return pruners.MedianPruner(n_startup_trials=pruning.startup_runs, n_warmup_steps=pruning.warmup_steps)
        first = max(pruning.warmup_steps, 1)
        if pruning.type == "halving":
            return pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=pruning.reduction_factor)
        return pruners.HyperbandPruner(
            min_resource=first, max_resource=pruning.max_steps or "auto", reduction_factor=pruning.reduction_factor
        )

    def _encode(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Values as Optuna stores them: a choice as its JSON text."""
        choice = self._optuna.distributions.CategoricalDistribution
        return {
            key: json.dumps(value) if isinstance(self._distributions[key], choice) else value
            for key, value in parameters.items()
        }

    def _decode(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The reverse of `_encode`, in the order of the sweep's file."""
        choice = self._optuna.distributions.CategoricalDistribution
        return {
            key: json.loads(parameters[key]) if isinstance(distribution, choice) else parameters[key]
            for key, distribution in self._distributions.items()
        }


def _import_optuna() -> Any:
    """Optuna, which is kept quiet about trials because the sweep itself reports on runs."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            f"the search type tpe needs Optuna, which is not installed ({error}): "
            'pip install "ofakit[sweeps]", or pip install "optuna>=3"; or use the search type grid or random'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: Any, parameter: Parameter) -> Any:
    """Optuna's counterpart of a parameter."""
    distributions = optuna.distributions
    if parameter.choices is not None:
        return distributions.CategoricalDistribution([json.dumps(value) for value in parameter.choices])
    low, high = parameter.limits
    if parameter.integer:
        step = int(parameter.step or 1)
        return distributions.IntDistribution(int(low), int(high), log=parameter.log, step=step)
    return distributions.FloatDistribution(low, high, log=parameter.log, step=parameter.step)

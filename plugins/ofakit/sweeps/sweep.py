"""Run a sweep to its end, from where it was killed if need be, and say which run was best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofakit.errors import OfakitError, UsageError
from ofakit.sweeps.chosen_run import scores_on_test
from ofakit.sweeps.engines import ENGINES
from ofakit.sweeps.folder import SweepFolder
from ofakit.sweeps.launcher import Launcher, say
from ofakit.sweeps.ledger import Ledger
from ofakit.sweeps.record import Record
from ofakit.sweeps.sweep_config import SweepConfig

__all__ = ["Sweep", "run_sweep"]


def run_sweep(
    config: SweepConfig, finetune: Sequence[str], engine: str = "local", retry_failed: bool = False
) -> dict[str, Any]:
    """Carry out every run that has not ended yet.

    Args:
        config: The sweep.
        finetune: The command of a run if the sweep names none.
        engine: A file of `ofakit/sweeps/engines`.
        retry_failed: Whether runs that failed in an earlier session go on from their last snapshot.

    Returns:
        `runs`, a list of every run's parameters, metric, work_dir, status and seconds; `best`, one of them, with
        `split`, the data that it was chosen on; `test`, what it scores on the test split where it was chosen on the
        validation split; and the `work_dir`, `metric` and `rule` of the sweep.

    Raises:
        UsageError: The search does not go with the engine, or the directory belongs to another sweep.
        OfakitError: Too many runs failed in a row, or all of them did.
    """
    start_runs = ENGINES.get(engine)
    if engine not in config.search.engines:
        engines = " or ".join(config.search.engines)
        raise UsageError(f"the search type {config.search.type!r} needs --engine {engines}, found {engine!r}")
    folder = SweepFolder(config)
    with folder.opened():
        ledger = Ledger(folder.path, list(config.parameters), config.metric, config.rule)
        if retry_failed:
            ledger.forget_failures()
        ledger.write()
        config.search.begin(config.parameters, config.seed, config.rule)
        launcher = Launcher(config, folder, config.command or finetune)
        start_runs(Sweep(config, folder, ledger, launcher))
        return _summary(config, ledger, launcher)


def _summary(config: SweepConfig, ledger: Ledger, launcher: Launcher) -> dict[str, Any]:
    """The last line of the tool."""
    best = ledger.best()
    if best is None:
        errors = "; ".join(dict.fromkeys(str(record.error) for record in ledger))
        raise OfakitError(f"none of {len(ledger)} runs finished: {errors}")
    split, test = (best.result or {}).get("split"), None
    if split == "val" and not config.command:
        test = scores_on_test(launcher.folder.path, best, launcher.command, launcher.environment(0))
        scored = "there is no test split" if test is None else f"test split: {test.get(config.metric, test)}"
        say(f"run {best.number} was chosen on the validation split: {config.metric} {best.score}; {scored}")
    elif split == "test":
        say(f"run {best.number} was chosen on the test split, which makes it look better than it is; set data.val")
    return {
        "work_dir": config.work_dir,
        "metric": config.metric,
        "rule": config.rule,
        "runs": [record.summary(config.metric) for record in ledger],
        "best": {**best.summary(config.metric), **({} if split is None else {"split": split})},
        **({} if test is None else {"test": test}),
    }


@dataclass
class Sweep:
    """What an engine needs: what to do, how to do it, and where to record it.

    Attributes:
        config: The sweep's file.
        folder: Its directory.
        ledger: The runs that have ended.
        launcher: Starts and concludes runs.
        failures: Failed runs in a row.
    """

    config: SweepConfig
    folder: SweepFolder
    ledger: Ledger
    launcher: Launcher
    failures: int = 0

    def to_do(self) -> tuple[dict[int, dict[str, Any]], list[int]]:
        """What is left to do, after telling the search about every earlier run.

        Returns:
            The runs that were interrupted, with what they were started with, and the numbers of new ones.
        """
        search, started = self.config.search, self.folder.started()
        interrupted = {number: about for number, about in started.items() if number not in self.ledger}
        for number in sorted({*interrupted, *(record.number for record in self.ledger)}):
            if number in interrupted:
                search.reopen(number, interrupted[number]["parameters"])
            else:
                search.recall(self.ledger[number])
        new = [number for number in range(search.total) if number not in self.ledger and number not in interrupted]
        return interrupted, new

    def keep(self, record: Record) -> None:
        """Record a run, delete what is not to be kept, and check whether the sweep should go on.

        Args:
            record: The record of a run that has just ended.

        Raises:
            OfakitError: Too many runs have failed in a row.
        """
        self.ledger.add(record)
        best = self.ledger.best()
        if self.config.keep_weights == "best":
            for other in self.ledger:
                if other.status != "failed" and other is not best:
                    self.folder.drop_weights(other.number)
        score = record.error or f"{self.config.metric} {record.score}"
        found = "" if best is None else f" (best: {best.score}, run {best.number})"
        say(f"run {record.number} {record.status}, {len(self.ledger)} of {self.config.search.total}: {score}{found}")
        self.failures = self.failures + 1 if record.status == "failed" else 0
        if self.failures >= self.config.max_failures:
            raise OfakitError(
                f"the last {self.failures} runs failed, so the sweep stops (max_failures {self.config.max_failures}); "
                f"the last one: {record.error}. See {Path(record.work_dir) / 'stderr.log'}, fix the cause and start "
                "the sweep again: it continues with the next run, or with these if you pass --retry-failed"
            )

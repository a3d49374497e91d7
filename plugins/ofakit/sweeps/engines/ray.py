"""Runs on Ray: successive halving, population-based training, or just many runs at once, on a local Ray or a cluster.

    tools/sweep.py --conf sweep.json --engine ray        pip install "ofakit[ray]"

Ray decides which runs go on and which take over from which; the sweep's own records are the only memory. A sweep that
was killed starts a new Ray session with the runs that are left: interrupted ones go on from their snapshots, and the
evaluations of those that ended are replayed, so that the scheduler judges by all of them.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

from ofakit.errors import OfakitError, UsageError
from ofakit.sweeps.evaluations import EvaluationReader
from ofakit.sweeps.folder import SweepFolder
from ofakit.sweeps.launcher import Launcher
from ofakit.sweeps.load_sweep import load_sweep
from ofakit.sweeps.ray_session import ray_session
from ofakit.sweeps.record import Record
from ofakit.sweeps.searches.asha import ASHASearch
from ofakit.sweeps.searches.pbt import PBTSearch
from ofakit.sweeps.stepwise import StepwiseRun
from ofakit.sweeps.sweep import Sweep

__all__ = ["run_on_ray"]

QUIET = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
}


def run_on_ray(sweep: Sweep) -> None:
    """Run everything that is left.

    Args:
        sweep: What to do, and where to record it.

    Raises:
        UsageError: Ray is not installed, or the cluster at $RAY_ADDRESS does not respond.
        OfakitError: Too many runs failed in a row, or Ray itself failed.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in QUIET.items()})
    tune = _import_tune()
    interrupted, new = sweep.to_do()
    if not interrupted and not new:
        return
    scratch = (sweep.folder.path / "ray").resolve()
    shutil.rmtree(scratch, ignore_errors=True)
    with ray_session("--engine ray", cpus=sweep.config.parallel):
        try:
            results = _tuner(tune, sweep, _runs(sweep, interrupted, new), scratch).fit()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if results.errors:
        raise OfakitError(f"Ray could not complete {len(results.errors)} runs; the first: {results.errors[0]}")


def _import_tune() -> Any:
    """Ray's Tune."""
    try:
        from ray import tune
    except ImportError as error:
        raise UsageError(
            f"--engine ray needs Ray Tune, which is not installed ({error}): "
            'pip install "ofakit[ray]", or pip install "ray[tune]"; or use --engine local'
        ) from None
    return tune


def _runs(sweep: Sweep, interrupted: dict[int, dict[str, Any]], new: list[int]) -> list[dict[str, Any]]:
    """What Ray is given: the runs that ended, to be replayed, then those to continue, then new ones."""
    told = [
        {"number": record.number, "parameters": record.parameters, "told": [list(pair) for pair in record.evaluations]}
        for record in sweep.ledger
        if record.evaluations
    ]
    left = [{"number": number, "parameters": about["parameters"]} for number, about in interrupted.items()]
    return [*told, *left, *({"number": number, "parameters": sweep.config.search.propose(number)} for number in new)]


def _tuner(tune: Any, sweep: Sweep, runs: list[dict[str, Any]], scratch: Path) -> Any:
    """The experiment."""
    conf = (sweep.folder.path / "conf.json").resolve()
    trainable = tune.with_parameters(
        _trainable(tune), conf=conf, command=sweep.launcher.command, directory=Path.cwd(), folder=conf.parent
    )
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"run": tune.grid_search(runs)},
        tune_config=tune.TuneConfig(
            metric="score",
            mode=sweep.config.rule,
            scheduler=_scheduler(tune, sweep),
            max_concurrent_trials=sweep.config.parallel,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name="sweep", storage_path=str(scratch), verbose=0, callbacks=[_keeper(tune, sweep)]
        ),
    )  # fmt: skip


def _trial_name(trial: Any) -> str:
    """A name with the run's number in it: a run that takes over gets the whole configuration of the better one."""
    return f"run_{trial.config['run']['number']}"


def _trainable(tune: Any) -> type:
    """Ray's idea of a run, around ours."""

    class Run(tune.Trainable):
        def setup(self, config: dict[str, Any], conf: Path, command: list[str], directory: Path, folder: Path) -> None:
            about, number = config["run"], int(self.trial_name.rpartition("_")[2])
            sweep = load_sweep(conf, [f"work_dir={folder}"])
            launcher = Launcher(sweep, SweepFolder(sweep), command, directory)
            self.run = StepwiseRun(launcher, number, about["parameters"], about.get("told"))

        def step(self) -> dict[str, Any]:
            return self.run.advance()

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            self.run.save(Path(checkpoint_dir))

        def load_checkpoint(self, checkpoint_dir: str) -> None:
            self.run.load(Path(checkpoint_dir))

        def cleanup(self) -> None:
            self.run.close()

    return Run


def _scheduler(tune: Any, sweep: Sweep) -> Any:
    """Ray's scheduler for the search; None lets every run go to its end."""
    search, space = sweep.config.search, sweep.config.parameters
    if isinstance(search, ASHASearch):
        return tune.schedulers.ASHAScheduler(
            time_attr="step",
            # A run ends on its own at max_steps, with a result; if Ray stopped it there it would have none.
            max_t=search.max_steps + 1,
            grace_period=search.grace_steps,
            reduction_factor=search.reduction_factor,
        )
    if not isinstance(search, PBTSearch):
        return None
    random.seed(sweep.config.seed)

    def within_the_space(config: dict[str, Any]) -> dict[str, Any]:
        parameters = {key: space[key].nearest(value) for key, value in config["run"]["parameters"].items()}
        return {**config, "run": {**config["run"], "parameters": parameters}}

    return tune.schedulers.PopulationBasedTraining(
        time_attr="step",
        perturbation_interval=search.interval_steps,
        hyperparam_mutations={"run": {"parameters": {key: _mutation(tune, space[key]) for key in space}}},
        quantile_fraction=search.quantile,
        resample_probability=search.resample,
        custom_explore_fn=within_the_space,
        log_config=False,
    )


def _mutation(tune: Any, parameter: Any) -> Any:
    """Ray's counterpart of a parameter; numbers that Ray makes are brought back into the range afterwards."""
    if parameter.choices is not None:
        return list(parameter.choices)
    return (tune.loguniform if parameter.log else tune.uniform)(parameter.low, parameter.high)


def _keeper(tune: Any, sweep: Sweep) -> Any:
    """What records a run, in the sweep's own process, as soon as Ray says that it is over."""

    class Keeper(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            number = int(str(trial).rpartition("_")[2])
            if number in sweep.ledger:
                return
            line = trial.last_result.get("record")
            if line is not None:
                sweep.keep(Record.from_line(line).scored_by(sweep.config.metric))
                return
            folder = sweep.folder.run(number)
            evaluations = EvaluationReader(folder, sweep.config.watched).all()
            ended = Record(
                number=number,
                parameters=trial.config["run"]["parameters"],
                status="pruned",
                work_dir=str(folder),
                seconds=round(trial.last_result.get("time_total_s", 0.0), 1),
                evaluations=evaluations,
            )
            sweep.keep(ended.scored_by(sweep.config.metric))

    return Keeper()

"""Several trainings in sequence, each from the best model of the previous one, such as cross entropy and then SCST.

    <work_dir>/stages/1_cross_entropy/  stages/2_scst/    a run directory each, with `result.json` once it is done
    <work_dir>/best/  output/  eval/                      those of the last stage

An interrupted stage continues from its own snapshots; a finished one is not run again.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ofakit.config.schema import ExperimentConfig
from ofakit.config.stage_experiments import RESULT, stage_experiments
from ofakit.data.reading import data_root
from ofakit.errors import UsageError
from ofakit.files import replace_folder, write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.processes import launched_rank
from ofakit.trainers.run_directory import best_model, make_run_directory, move_earlier_run

__all__ = ["train_stages"]


def train_stages(
    config: ExperimentConfig, train_one: Callable[[ExperimentConfig, bool], dict[str, Any]], resume: bool = False
) -> dict[str, Any]:
    """Train every stage.

    Args:
        config: An experiment with `stages`.
        train_one: Trains one experiment, from its newest snapshot if the run is resumed, and returns its scores; its
            argument says whether this is the first stage.
        resume: Skip finished stages; otherwise an earlier run in the directory is moved aside.

    Returns:
        The result of `train_one` for the last stage, with `work_dir` and the sums of `steps` and `seconds` for the
        whole run, and `stages`: name and scores of each.

    Raises:
        UsageError: The keys of a stage are wrong, or a stage left no model.
    """
    experiments = stage_experiments(config)
    work_dir, is_main = Path(config.work_dir), launched_rank() == 0
    if is_main:
        make_run_directory(work_dir)
        if not resume:
            move_earlier_run(work_dir)
        write_text(work_dir / "conf.json", to_json(config.model_dump(mode="json"), indent=1) + "\n")
    shared: dict[str, Any] = {
        "root": data_root(config),
        "image_store": config.data.image_store or str(work_dir / "image_store"),
    }
    if config.data.regions is not None and config.data.regions.path is None:
        shared["regions"] = config.data.regions.model_copy(update={"path": str(work_dir / "regions")})
    results: list[dict[str, Any]] = []
    for stage, experiment in zip(config.stages, experiments, strict=True):
        experiment.data = experiment.data.model_copy(update=shared)
        if results:
            start = _model_of_stage(results[-1]["work_dir"])
            experiment.model = experiment.model.model_copy(update={"path": str(start)})
        file = Path(experiment.work_dir) / RESULT
        if resume and file.exists():
            results.append(read_json_file(file, "the result of a stage"))
            continue
        results.append({"name": stage.name, **train_one(experiment, not results)})
        if is_main:
            write_text(file, to_json(results[-1], indent=1) + "\n")
    if is_main:
        _publish(Path(results[-1]["work_dir"]), work_dir)
    return _joined(results, work_dir)


def _model_of_stage(work_dir: str) -> Path:
    """The model directory that the next stage starts from."""
    found = best_model(work_dir)
    if found is None:
        raise UsageError(f"the stage in {work_dir} left no model to continue from: expected best/ or output/ there")
    return found


def _publish(stage: Path, work_dir: Path) -> None:
    """Copy the last stage's models and evaluations to where those of a run are expected."""
    for name in ("best", "output", "eval"):
        if (stage / name).is_dir():
            with replace_folder(work_dir / name, keep_strangers=True) as new:
                shutil.copytree(stage / name, new, dirs_exist_ok=True)


def _joined(results: list[dict[str, Any]], work_dir: Path) -> dict[str, Any]:
    """The last stage's result as the result of the run, including the results of all stages."""
    totals = {key: round(sum(result[key] for result in results), 1) for key in ("steps", "seconds")}
    last = {key: value for key, value in results[-1].items() if key != "name"}
    return {**last, **totals, "work_dir": str(work_dir), "stages": results}

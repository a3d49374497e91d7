"""One experiment per stage: what `stages` says, laid over the rest of the file.

"stages": [{"name": "cross_entropy"},
           {"name": "scst", "objectives": [{"type": "scst"}], "train": {"optimizer": {"lr": 1e-5}}}]

A stage may learn from other data as well, such as all captions after those of a style; images stay below one root.
"""

from __future__ import annotations

from pathlib import Path

from ofakit.config.load import checked, laid_over
from ofakit.config.schema import ExperimentConfig
from ofakit.errors import UsageError

__all__ = ["RESULT", "stage_experiments", "stage_folders"]

FOLDER = "stages"
RESULT = "result.json"
"""What a stage leaves in its run directory when it is done: its scores and its `steps`."""


def stage_experiments(config: ExperimentConfig) -> list[ExperimentConfig]:
    """The experiment of each stage, in order; its run directory is `<work_dir>/stages/<number>_<name>`.

    Args:
        config: With `stages`.

    Raises:
        UsageError: A stage's `model`, `train` or `data` has an unknown key or a value out of range.
    """
    values = config.model_dump(exclude_unset=True, exclude={"stages"})
    experiments = []
    for number, stage in enumerate(config.stages, start=1):
        own = stage.model_dump(exclude_none=True, exclude={"name"})
        if not stage.model:
            del own["model"]
        own["work_dir"] = str(Path(config.work_dir) / FOLDER / f"{number}_{stage.name}")
        try:
            with config.naming_the_file("stages", number - 1):
                experiments.append(checked(ExperimentConfig, laid_over(values, own)))
        except UsageError as error:
            raise UsageError(f"stage {number}, {stage.name!r}: {error}") from None
        experiments[-1]._origin = config._origin
    return experiments


def stage_folders(work_dir: Path) -> list[Path]:
    """The run directories of the stages that have begun, in order; none for an experiment without stages.

    Args:
        work_dir: The run directory of the whole experiment.
    """
    numbered = {path: path.name.partition("_")[0] for path in (work_dir / FOLDER).glob("*_*")}
    return sorted((path for path, number in numbered.items() if number.isdigit()), key=lambda p: int(numbered[p]))

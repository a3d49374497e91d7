"""The experiment of a trainer: from our file or ModelScope's configuration.json, as `cfg_modify_fn` leaves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelscope.utils.config import Config

from ofakit.config import ExperimentConfig, load_config, parse_config
from ofakit.config.modelscope_format import from_configuration, is_configuration, run_keys_on_top, with_usual_sections
from ofakit.errors import UsageError
from ofakit.hub import resolve_model
from ofakit.input_files import read_json_file
from ofakit.tasks import TASKS

__all__ = ["read_experiment", "with_arguments"]


def read_experiment(
    model: Any, cfg_file: str | None = None, cfg_modify_fn: Callable[[Config], Config] | None = None
) -> ExperimentConfig:
    """The checked configuration.

    Args:
        model: A model directory or hub id; its configuration.json is used if no file is given.
        cfg_file: One of our experiments or a ModelScope configuration.json.
        cfg_modify_fn: Takes the configuration as ModelScope's `Config` and returns the one to use; called once.

    Raises:
        UsageError: There is no configuration, or something in it is wrong.
    """
    if cfg_file is None:
        if not isinstance(model, str):
            raise UsageError("the trainer needs cfg_file, or a model directory that has a configuration.json")
        cfg_file = str(resolve_model(model) / "configuration.json")
    path = Path(cfg_file)
    values, files = _stock_values(path), [path]
    if values is None:
        loaded = load_config(path)
        values, files = loaded.model_dump(), list(loaded.files)
    if cfg_modify_fn is None:
        return parse_config(_as_experiment(values), files)
    try:
        return parse_config(_as_experiment(_modified(values, cfg_modify_fn)))
    except UsageError as error:
        raise UsageError(f"the configuration that cfg_modify_fn returned for {path}: {error}") from None


def with_arguments(
    experiment: ExperimentConfig,
    seed: int | None = None,
    work_dir: str | None = None,
    max_epochs: int | None = None,
    use_fp16: bool = False,
) -> ExperimentConfig:
    """The experiment with the values that the trainer's arguments replace.

    Args:
        experiment: The experiment as read.
        seed: The seed; None does not replace it, here and below.
        work_dir: The run directory.
        max_epochs: Number of epochs.
        use_fp16: Compute in fp16.
    """
    replacements = {"seed": seed, "work_dir": work_dir}
    experiment = experiment.model_copy(update={key: value for key, value in replacements.items() if value is not None})
    if max_epochs is not None:
        experiment.train.max_epochs = max_epochs
    if use_fp16:
        experiment.train.precision = "fp16"
    return experiment


def _stock_values(path: Path) -> dict[str, Any] | None:
    """The content of a ModelScope configuration.json; None for any other file, which `load_config` then checks."""
    try:
        values = read_json_file(path, "a configuration")
    except UsageError:
        return None
    return values if isinstance(values, dict) and is_configuration(values) else None


def _as_experiment(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Our keys, from one of our configurations or ModelScope's, whose task is used if it is one of ours."""
    if not is_configuration(values):
        return run_keys_on_top(values)
    found = from_configuration(values)
    return {**found, "task": values["task"]} if values.get("task") in TASKS.every_name() else found


def _modified(values: Mapping[str, Any], cfg_modify_fn: Callable[[Config], Config]) -> dict[str, Any]:
    """The configuration that `cfg_modify_fn` returns."""
    changed = cfg_modify_fn(Config(with_usual_sections(values) if is_configuration(values) else dict(values)))
    if not isinstance(changed, Config):
        raise UsageError(f"cfg_modify_fn must return the configuration, found {changed!r}")
    return dict(changed._cfg_dict)

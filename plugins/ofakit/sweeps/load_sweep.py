"""Read a sweep's JSON file: follow `extends`, apply `--set`, check every key, and try every value on the base.

load_sweep("configs/sweeps/quickstart.json", ["work_dir=work_dir/sweep", "parallel=2"])
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ofakit.config.load import checked, load_config, read_values
from ofakit.config.origin import Origin
from ofakit.errors import UsageError
from ofakit.input_files import read_json_file
from ofakit.sweeps.sweep_config import SweepConfig, flatten

__all__ = ["check_on_base", "load_sweep", "settings"]


def load_sweep(path: str | Path, overrides: Iterable[str] = ()) -> SweepConfig:
    """The checked configuration of a sweep, its base as an absolute path.

    Args:
        path: A JSON file; its `extends` is followed relative to it.
        overrides: `key=value` texts with dotted keys, as given by `--set`; a value is JSON, or else text.

    Raises:
        UsageError: A file is missing or is not JSON, a key is unknown, or a value is out of range.
    """
    overrides = list(overrides)
    values, files = read_values(path, overrides)
    try:
        schema = SweepConfig.for_search(values["search"]) if "search" in values else SweepConfig
    except UsageError as error:
        raise UsageError(f"{error}{Origin(files, overrides).place_of(('search', 'type'))}") from None
    config = checked(schema, values, files, overrides)
    base = _folder_of_base(files, overrides) / config.base
    if not base.is_file():
        raise UsageError(
            f"base: no configuration file {base}{Origin(files, overrides).place_of(('base',))}; a relative path is "
            "relative to the file that names it"
        )
    return config.model_copy(update={"base": str(base.resolve())})


def check_on_base(config: SweepConfig) -> None:
    """Try every choice and both ends of every range on the base before the first run.

    Args:
        config: The sweep. One with a command of its own is not checked, since its base may be of another kind.

    Raises:
        UsageError: The base has no such key, or does not accept a value.
    """
    if config.command is not None:
        return
    first = {key: parameter.ends()[0] for key, parameter in config.parameters.items()}
    load_config(config.base, settings(config, first))
    for key, parameter in config.parameters.items():
        for value in parameter.ends()[1:]:
            load_config(config.base, settings(config, first | {key: value}))


def settings(config: SweepConfig, parameters: dict[str, Any]) -> list[str]:
    """The `--set` texts of a run, without its work_dir. "{sweep}" in a text is the sweep's directory.

    Args:
        config: The sweep.
        parameters: The run's own.
    """
    texts = []
    for key, value in {**flatten(config.overrides), **parameters}.items():
        if isinstance(value, str):
            value = value.replace("{sweep}", config.work_dir)
        texts.append(f"{key}={json.dumps(value, ensure_ascii=False)}")
    return texts


def _folder_of_base(files: Sequence[Path], overrides: Sequence[str]) -> Path:
    """Where a relative `base` starts: at the file that names it, or in the working directory if `--set` does."""
    if any(override.startswith("base=") for override in overrides):
        return Path.cwd()
    return next((file.parent for file in files if "base" in read_json_file(file, "a sweep")), Path.cwd())

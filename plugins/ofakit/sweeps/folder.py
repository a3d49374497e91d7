"""A sweep's directory: which sweep it belongs to, what has been started in it, and that no other sweep works there.

conf.json               the resolved sweep: running it again continues the sweep
runs.jsonl results.csv  the runs that have ended
runs/<number>/          a run directory, with parameters.json, stdout.log and stderr.log beside the run's own files
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.files import remove_folder, write_text
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.locks import only_one
from ofakit.sweeps.sweep_config import SweepConfig, flatten

__all__ = ["SweepFolder"]

WEIGHTS = ("checkpoints", "starting_model", "best", "output")
IDENTITY = ("base", "set", "parameters", "search", "seed", "command")


class SweepFolder:
    """The directory of one sweep.

    Args:
        config: The sweep.
    """

    def __init__(self, config: SweepConfig) -> None:
        self.config = config
        self.path = Path(config.work_dir)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep other sweeps out, check that the directory is this sweep's, and write its configuration.

        Raises:
            UsageError: Another sweep works there, or the directory belongs to another one.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with only_one(self.path, "sweep", "wait for it, end it, or set another work_dir"):
            self._check_it_is_ours()
            values = self.config.model_dump(mode="json", by_alias=True)
            write_text(self.path / "conf.json", to_json(values, indent=1) + "\n")
            yield

    def run(self, number: int) -> Path:
        """The directory of a run.

        Args:
            number: From 0.
        """
        return self.path / "runs" / str(number)

    def note_start(self, number: int, about: Mapping[str, Any]) -> None:
        """Record what a run is started with, so that it can continue after a kill.

        Args:
            number: The run's number.
            about: At least its parameters.
        """
        write_text(self.run(number) / "parameters.json", to_json(about, indent=1) + "\n")

    def started(self) -> dict[int, dict[str, Any]]:
        """What every run that has ever been started was started with, by number."""
        found = {}
        for path in self.path.glob("runs/*/parameters.json"):
            if path.parent.name.isdigit():
                found[int(path.parent.name)] = read_json_file(path, "parameters of a run")
        return dict(sorted(found.items()))

    def drop_weights(self, number: int) -> None:
        """Delete the model directories and snapshots of a run; its records and reports stay, and what others put there.

        Args:
            number: The run's number.
        """
        for name in WEIGHTS:
            remove_folder(self.run(number) / name)

    def _check_it_is_ours(self) -> None:
        """Refuse a directory whose runs belong to a different sweep."""
        path = self.path / "conf.json"
        if not path.exists():
            return
        earlier, now = (
            read_json_file(path, "parameters of a run"),
            self.config.model_dump(mode="json", by_alias=True),
        )
        different = [key for key in IDENTITY if _identity(earlier, key) != _identity(now, key)]
        if self.config.search.type == "tpe":
            different += [key for key in ("metric", "rule") if earlier.get(key) != now[key]]
        if different:
            said = "; ".join(f"{key} was {earlier.get(key)!r} and is {now[key]!r}" for key in different)
            raise UsageError(
                f"{self.path} belongs to another sweep: {said}. Set another work_dir, or remove the directory"
            )


def _identity(values: Mapping[str, Any], key: str) -> Any:
    """The part of a key's value that must stay the same: a checkout may move, and a search may get more runs."""
    value = values.get(key)
    if key == "base":
        return Path(str(value)).name
    if key == "set":
        return flatten(value or {})
    if key == "search":
        return {name: inner for name, inner in (value or {}).items() if name != "runs"}
    return value

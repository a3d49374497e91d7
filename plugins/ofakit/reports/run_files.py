"""Reads what a report needs from a run directory, and changes nothing.

    run = read_run("work_dir/quickstart")
    run.config["seed"], run.records[0]["loss"], run.splits["test"].scores["cider"]

A run that was killed, or is still running, has some of it: what is missing is left out of the report. A damaged line of
`metrics.jsonl` is skipped and counted; predictions are written whole, so that a damaged line there is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError, did_you_mean
from ofakit.json_text import from_json

__all__ = ["RunFiles", "SplitFiles", "located", "read_run"]

_PREDICTIONS = ".predictions.jsonl"


@dataclass(frozen=True)
class SplitFiles:
    """An evaluation.

    Attributes:
        name: The split.
        scores: `eval/<split>.json`.
        rows: The lines of `eval/<split>.predictions.jsonl`; empty where there is none.
        rankings: The files `eval/<split>.<system>.run.trec` by system.
    """

    name: str
    scores: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    rankings: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFiles:
    """A run.

    Attributes:
        folder: Its directory.
        name: What it is called: the directory's name.
        config: `conf.json`; empty where there is none.
        records: The lines of `metrics.jsonl`.
        damaged: How many lines of that file cannot be read.
        splits: The evaluations by split.
        bad_examples: The lines of `bad_examples.jsonl`.
        log: The lines of `train.log`.
        stages: The runs of its stages, in order.
    """

    folder: Path
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    records: Sequence[Mapping[str, Any]] = ()
    damaged: int = 0
    splits: Mapping[str, SplitFiles] = field(default_factory=dict)
    bad_examples: Sequence[Mapping[str, Any]] = ()
    log: Sequence[str] = ()
    stages: Sequence[RunFiles] = ()

    def split(self, wanted: str | None = None) -> SplitFiles | None:
        """The evaluation to show.

        Args:
            wanted: A split; None takes the one that the run ended with, or else the first of test, val and the rest.

        Returns:
            None if the run has evaluated nothing.

        Raises:
            UsageError: The run has no evaluation of the split that is wanted.
        """
        if wanted is not None and wanted not in self.splits:
            raise UsageError(f"{self.folder}: no evaluation of {wanted!r}: {did_you_mean(wanted, self.splits)}")
        final = _mapping(self.config.get("evaluation")).get("final_split")
        for name in (wanted, final if isinstance(final, str) else None, "test", "val", *self.splits):
            if name is not None and name in self.splits:
                return self.splits[name]
        return None


def read_run(folder: str | Path) -> RunFiles:
    """Read a run directory.

    Args:
        folder: The directory, as `work_dir` of a configuration names it.

    Raises:
        UsageError: It is not a run directory, or one of its files is not what it should be.
    """
    folder = Path(folder)
    if not any((folder / name).exists() for name in ("conf.json", "metrics.jsonl", "eval")):
        found = "no such folder" if not folder.is_dir() else "a folder without conf.json, metrics.jsonl and eval/"
        raise UsageError(f"expected a run directory (work_dir of a configuration), found {folder}: {found}")
    records, damaged = _records(folder / "metrics.jsonl")
    return RunFiles(
        folder, folder.absolute().name, _object(folder / "conf.json"), records, damaged, _splits(folder / "eval"),
        list(_lines(folder / "bad_examples.jsonl")), _text(folder / "train.log").splitlines(),
        [read_run(conf.parent) for conf in sorted(folder.glob("stages/*_*/conf.json"), key=_stage_number)],
    )  # fmt: skip


def located(path: Any, run: RunFiles) -> str | None:
    """Where a file lies that a run names, also from another working directory or after the run was moved.

    Args:
        path: As the run wrote it; relative to where it ran.
        run: With `work_dir` in its configuration.

    Returns:
        A path, or None where `path` is none.
    """
    if not isinstance(path, str) or not path:
        return None
    written = run.config.get("work_dir")
    if not os.path.isfile(path) and isinstance(written, str) and path.startswith(f"{written.rstrip('/')}/"):
        return str(run.folder / path[len(written.rstrip("/")) + 1 :])
    return path


def _splits(folder: Path) -> dict[str, SplitFiles]:
    found = {}
    for file in sorted(folder.glob("*.json")):
        name, scores = file.stem, _object(file)
        rankings = {
            path.name[len(name) + 1 : -len(".run.trec")]: path for path in sorted(folder.glob("*.run.trec"))
            if path.name.startswith(f"{name}.") and path.name != f"{name}.run.trec"
        }  # fmt: skip
        found[name] = SplitFiles(name, scores, list(_lines(folder / f"{name}{_PREDICTIONS}")), rankings)
    return found


def _records(path: Path) -> tuple[list[Mapping[str, Any]], int]:
    """The lines that have a step, and how many others there are."""
    found, damaged = [], 0
    for line in _text(path).splitlines():
        try:
            record = from_json(line)
        except UsageError:
            record = None
        step = record.get("step") if isinstance(record, dict) else None
        if isinstance(step, int) and not isinstance(step, bool):
            found.append(record)
        else:
            damaged += 1
    return found, damaged


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """The objects of a file of JSON lines; none where there is no file."""
    for place, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield _parsed(line, f"{path}:{place}")


def _object(path: Path) -> Mapping[str, Any]:
    return _parsed(_text(path), str(path)) if path.is_file() else {}


def _parsed(text: str, where: str) -> Mapping[str, Any]:
    try:
        value = from_json(text)
    except UsageError as error:
        raise UsageError(f"{where}: expected a JSON object, found something else: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return value


def _text(path: Path) -> str:
    """The text of a file; "" where there is none."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _stage_number(conf: Path) -> tuple[int, str]:
    """Where a stage stands, from the folder of its configuration, such as `2_scst`."""
    name = conf.parent.name
    before = name.partition("_")[0]
    return (int(before) if before.isascii() and before.isdigit() else 0, name)

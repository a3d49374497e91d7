"""Commands killed at chosen file operations and started again, until they end as an undisturbed one does.

    with TemporaryDirectory() as folder:
        counts = kill_often(TRAINING, Path(folder), 100, seed=0)

`TRAINING` is a small run which fills an image store, evaluates, keeps its best model and snapshots; `SWEEP` a sweep of
runs that only pretend to train. Each is watched once from its begin to its end; then it is killed with SIGKILL ahead of
operations that a seed chooses, in turn among all kinds in all parts of what it writes, and every third time again where
it goes on. After each kill everything that a reader finds must be readable, and what is left in the end must have the
bytes of the undisturbed run, times and places of its own machine left out. Processes are forked from one that has
everything imported, so that a kill costs a second.
"""

from __future__ import annotations

import io
import json
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from ofakit.cli import finetune, sweep
from ofakit.data.image_store import ImageStore
from ofakit.files import settle
from ofakit.hub import load_bundle
from ofakit.sweeps.ledger import Ledger
from ofakit.trainers.state import snapshot_fault

from tests.cli.small_runs import arguments
from tests.file_operations import KILL, Ended, Operation, run_watched

__all__ = ["SWEEP", "TRAINING", "Command", "Rehearsed", "kill_often"]

PRETENDED = Path(__file__).with_name("sweeps") / "pretend_finetune.py"
HOOKS = [
    {"type": "EvaluationHook", "interval": 2, "by_epoch": False},
    {"type": "BestSnapshotHook", "metric_key": "distinct2"},
    {"type": "BestSnapshotHook", "metric_key": "distinct2", "rule": "min"},
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 1, "max_checkpoint_num": 2},
]
OF_THE_MACHINE = (".lock", "train.log", "stdout.log", "stderr.log", "starts.jsonl")
"""The ends of names of files that tell of the runs of a command rather than of their result. What pretended runs of a
sweep write is none either: they write it in place."""
TIMES = {"seconds", "images_per_second"}
IMAGE_SIZE = 32


class Command(NamedTuple):
    """What is killed.

    Attributes:
        name: Of it.
        prepare: Makes what it needs in a folder, and returns its arguments.
        run: Takes the arguments and gives the exit code.
        parts: Where each part of what it writes begins, the first that fits; of all else the part is "run".
        faults: What a reader of a folder finds unreadable.
    """

    name: str
    prepare: Callable[[Path], list[str]]
    run: Callable[[list[str]], int]
    parts: dict[str, tuple[str, ...]]
    faults: Callable[[Path], Iterator[str]]


def _train_in(folder: Path) -> list[str]:
    """A run of four steps, with scenes and an image store of its own."""
    data = {
        "data.reader.images": 4,
        "data.reader.val": 1,
        "data.reader.test": 1,
        "data.val": "val",
        "data.test": "test",
    }
    short = {"generation.max_length": 6, "generation.num_beams": 1, "train.dataloader.workers_per_gpu": 0}
    store = {"data.image_store": folder / "images", "preprocessor.max_image_size": IMAGE_SIZE}
    return arguments(folder / "run", 4, HOOKS, **data, **short, **store)


def _training_faults(folder: Path) -> Iterator[str]:
    """Snapshots, model directories, metrics and images that cannot be read after a kill."""
    run = folder / "run"
    for snapshot in run.glob("checkpoints/step_*"):
        fault = snapshot_fault(snapshot)
        if fault is not None:
            yield fault
    for name in ("best", "output"):
        settle(run / name)
        if (run / name).exists():
            load_bundle(run / name)
    for path in [*run.glob("eval/*.json"), *run.glob("conf.json")]:
        json.loads(path.read_text(encoding="utf-8"))
    if list(folder.glob("images/*/store.json")):
        store = ImageStore(folder / "images", IMAGE_SIZE)
        for picture in folder.glob("scenes/**/*.png"):
            if picture in store:
                store[picture]


def _sweep_in(folder: Path) -> list[str]:
    """A sweep of four runs, one of which fails."""
    (folder / "base.json").write_text("{}", encoding="utf-8")
    values = {
        "base": "base.json", "work_dir": str(folder / "sweep"), "command": [sys.executable, str(PRETENDED)],
        "parameters": {"gain": [1.0, 3.0], "fail_at": [None, 2]}, "search": {"type": "grid"},
        "set": {"train.max_steps": 2}, "keep_weights": "best", "max_failures": 4,
    }  # fmt: skip
    (folder / "sweep.json").write_text(json.dumps(values), encoding="utf-8")
    return ["--conf", str(folder / "sweep.json")]


def _sweep_faults(folder: Path) -> Iterator[str]:
    """What of a sweep's records cannot be read after a kill."""
    Ledger(folder / "sweep", ["gain", "fail_at"], "cider", "max")
    for path in [*folder.glob("sweep/runs/*/parameters.json"), *folder.glob("sweep/conf.json")]:
        json.loads(path.read_text(encoding="utf-8"))
    yield from ()


TRAINING = Command(
    "training", _train_in, finetune.main,
    {
        "store": ("images/",), "data": ("scenes/",), "snapshot": ("run/checkpoints",),
        "best": ("run/best/", "run/best", "run/.best"), "output": ("run/output", "run/.output"),
        "evaluation": ("run/eval",), "metrics": ("run/metrics", "run/.metrics"),
    },
    _training_faults,
)  # fmt: skip
SWEEP = Command(
    "sweep", _sweep_in, sweep.main, {"sweep's runs": ("sweep/runs/",), "ledger": ("sweep/",)}, _sweep_faults
)


class Rehearsed:
    """A command that has run once from its begin to its end, undisturbed and watched.

    Args:
        command: What.
        folder: Empty; the command always works in the same place, so that paths in files are the same.
        log: What gets the words of the command; None: a file in the folder.

    Attributes:
        operations: What it does to files.
        wanted: What it leaves.
    """

    def __init__(self, command: Command, folder: Path, log: Path | None = None) -> None:
        self.command, self.place, self.log = command, folder / "place", log or folder / "log"
        self.given: list[str] = []
        self.begin_anew()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # what it imports is in what is forked
            command.run(self.given)
        self.begin_anew()
        ended = self.run()
        if ended.code:
            raise RuntimeError(self.said())
        self.operations, self.wanted = ended.operations, self.left()

    def begin_anew(self) -> None:
        """Remove what it has written."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        self.given = self.command.prepare(self.place)

    def run(self, judge: Callable[[Operation], int] = lambda _: 0) -> Ended:
        """Run it, or go on with it.

        Args:
            judge: As for `run_watched`.
        """
        return run_watched(lambda: self.command.run(self.given), self.place, self.log, judge)

    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text(encoding="utf-8")

    def faults(self) -> list[str]:
        """What a reader finds unreadable."""
        try:
            return list(self.command.faults(self.place))
        except Exception as error:
            return [f"{type(error).__name__}: {error}"]

    def left(self) -> dict[str, Any]:
        """What it leaves by path: bytes, JSON without times, what a store has of each image; and its result.

        Where nothing was there to go on from, what the killed run had lies in `earlier/`, and is not looked at.
        """
        found: dict[str, Any] = {"result": _timeless(json.loads(self.said().splitlines()[-1]))}
        for path in sorted(self.place.rglob("*")):
            name = path.relative_to(self.place).as_posix()
            told = name.endswith(OF_THE_MACHINE) or re.match("sweep/runs/.*/(?!parameters)", name)
            if path.is_file() and not told and not name.startswith(("images/", "run/earlier/")):
                found[name] = _content(path)
        if (self.place / "images").exists():
            store = ImageStore(self.place / "images", IMAGE_SIZE)
            for path in self.place.glob("scenes/**/*.png"):
                found[f"store of {path.name}"] = path in store and store[path].tobytes()
        return found

    def difference(self) -> str:
        """How what it has left differs from what it should have; nothing where it does not."""
        left, wanted = self.left(), self.wanted
        names = [name for name in {**wanted, **left} if left.get(name) != wanted.get(name)]
        return "; ".join(f"{name}: {str(left.get(name))[:200]} for {str(wanted.get(name))[:200]}" for name in names)

    def part(self, operation: Operation) -> str:
        """The part of what it writes that an operation is of.

        Args:
            operation: One of it.
        """
        parts = self.command.parts.items()
        return next((name for name, begins in parts if operation.path.startswith(begins)), "run")


def kill_often(
    command: Command, folder: Path, kills: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Kill a command at so many operations.

    Args:
        command: What.
        folder: Empty; it always works in the same place, so that paths in files are the same.
        kills: How often.
        seed: Chooses the operations.
        say: Is told of each.

    Returns:
        `kills`, by part and kind of operation `at`, `unreadable`, `ended` (how often it came to its end), of which
        `bit_equal`, and `problems`.
    """
    chance, run = random.Random(seed), Rehearsed(command, folder)
    choices = _choices(run, chance)
    at: Counter[str] = Counter()
    problems: list[str] = []
    done = unreadable = ended = equal = 0
    while done < kills:
        run.begin_anew()
        story: list[str] = []
        while True:
            target = next(choices) if done < kills and (not story or chance.random() < 1 / 3) else None
            code = (run.run() if target is None else run.run(_Countdown(run, target))).code
            if code != KILL or target is None:
                break
            done += 1
            at[f"{target.part}: {target.kind}"] += 1
            story.append(" ".join(map(str, target)))
            faults = run.faults()
            unreadable += bool(faults)
            problems += [f"{story}: {fault}" for fault in faults]
        ended += 1
        difference = run.said()[-500:] if code else run.difference()
        equal += not difference
        problems += [f"{story}: {difference}"] if difference else []
        say(f"{command.name}: {done} kills, the last at {story}; {len(problems)} problems {problems[-1:]}")
    counts = {"kills": done, "unreadable": unreadable, "ended": ended, "bit_equal": equal}
    return {**counts, "at": dict(sorted(at.items())), "problems": problems}


class Target(NamedTuple):
    """The n-th operation of a kind in a part of what a command writes."""

    part: str
    kind: str
    number: int


class _Countdown:
    """Kills at a target."""

    def __init__(self, run: Rehearsed, target: Target) -> None:
        self.run, self.target, self.left = run, target, target.number

    def __call__(self, operation: Operation) -> int:
        self.left -= (self.run.part(operation), operation.kind) == self.target[:2]
        return KILL if self.left == 0 else 0


def _choices(run: Rehearsed, chance: random.Random) -> Iterator[Target]:
    """Operations to kill at, without end: kinds and parts in turn, one of them by chance."""
    counts = Counter((run.part(operation), operation.kind) for operation in run.operations)
    while True:
        for part, kind in chance.sample(sorted(counts), len(counts)):
            yield Target(part, kind, chance.randint(1, counts[part, kind]))


def _content(path: Path) -> Any:
    """A file's bytes; of JSON the values without what the clock says, and of a table of runs its first columns."""
    if path.suffix in (".json", ".jsonl"):
        return [_timeless(json.loads(value)) for value in _values(path)]
    if path.name == "results.csv":
        return [line.split(",")[:4] for line in path.read_text(encoding="utf-8").splitlines()]
    return path.read_bytes()


def _values(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def _timeless(value: Any) -> Any:
    """A JSON value without what the clock says."""
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value

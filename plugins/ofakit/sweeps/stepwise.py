"""A run that is watched evaluation by evaluation, and that can take over the weights of a better run.

Ray's schedulers see it this way; nothing here needs Ray.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.sweeps.evaluations import EvaluationReader
from ofakit.sweeps.launcher import Launcher
from ofakit.sweeps.record import Record
from ofakit.sweeps.run_process import RunProcess
from ofakit.sweeps.searches.pbt import PBTSearch

__all__ = ["StepwiseRun"]

LOOK_EVERY = 0.1  # seconds
START = "start"


class StepwiseRun:
    """One run. Its process starts with the first `advance` and keeps running between calls.

    A run that takes over from another starts again at the tool's step 0; `offset` is how many steps its weights had
    been trained for, so that `offset` + the tool's step is their age.

    Args:
        launcher: Starts the process.
        number: The run's number.
        parameters: Its own keys.
        told: Evaluations of a run that ended in an earlier session: they are replayed, and nothing is started.
    """

    def __init__(
        self, launcher: Launcher, number: int, parameters: dict[str, Any], told: Sequence[Sequence[float]] | None = None
    ) -> None:
        self.launcher, self.number, self.parameters = launcher, number, dict(parameters)
        self.folder = launcher.folder.run(number)
        self.told = told
        self.process: RunProcess | None = None
        self.evaluations: EvaluationReader = launcher.reader(number)
        self._fresh: deque[tuple[int, float]] = deque((int(step), value) for step, value in told or ())
        note = launcher.folder.started().get(number, {})
        self.offset: int = note.get("offset", 0)
        self.history: list[dict[str, Any]] = note.get("history", [])
        self._earlier: list[tuple[int, float]] = [(int(step), value) for step, value in note.get("evaluations", [])]

    def advance(self) -> dict[str, Any]:
        """Wait for the next evaluation, or for the end.

        Returns:
            `step`, `score` and `done`; with `done` also `record`, a line of `runs.jsonl`, unless the run is a replay.
        """
        if self.told is not None:
            step, score = self._fresh.popleft()
            return {"step": step, "score": score, "done": not self._fresh}
        process = self._start() if self.process is None else self.process
        while not self._fresh:
            running = process.is_running()
            self._fresh.extend(self.evaluations.new())
            if not running and not self._fresh:
                return self._end(process)
            if not self._fresh:
                time.sleep(LOOK_EVERY)
        step, score = self._fresh.popleft()
        return {"step": self.offset + step, "score": score, "done": False}

    def save(self, folder: Path) -> None:
        """Copy the newest snapshot, for a run that may take it over.

        Args:
            folder: Gets `about.json`, and `snapshot/` where there is one.
        """
        step = self._copy_newest_snapshot(folder / "snapshot")
        about = {
            "number": self.number,
            "parameters": self.parameters,
            "step": None if step is None else self.offset + step,
        }
        (folder / "about.json").write_text(to_json(about), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over from another run. A folder that this run wrote itself changes nothing: it continues as before.

        Args:
            folder: From `save`.
        """
        about = read_json_file(folder / "about.json", "what a snapshot is of")
        if about["number"] == self.number:
            return
        self.close()
        self._earlier = [*self._earlier, *((self.offset + step, value) for step, value in self.evaluations.all())]
        self.launcher.folder.drop_weights(self.number)
        (self.folder / "metrics.jsonl").unlink(missing_ok=True)
        shutil.rmtree(self.folder / START, ignore_errors=True)
        self.offset = about["step"] or 0
        if about["step"] is not None:
            shutil.copytree(folder / "snapshot", self.folder / START)
        self.history.append({"step": self.offset, "from": about["number"], "parameters": self.parameters})
        self.evaluations = self.launcher.reader(self.number)
        self._fresh.clear()
        self._note()

    def close(self) -> None:
        """End the process, if there is one."""
        if self.process is not None:
            self.process.terminate()
            self.process = None

    def _start(self) -> RunProcess:
        seen_before = (self.folder / "parameters.json").exists()
        if not seen_before:
            self._note()
        start = self.folder / START
        more = ["--checkpoint", str(start)] if start.is_dir() else []
        search, parameters = self.launcher.config.search, self.parameters
        if isinstance(search, PBTSearch):
            parameters = {**parameters, "train.max_steps": max(search.max_steps - self.offset, 1)}
        self.process = self.launcher.launch(self.number, parameters, seen_before, self.number, *more)
        return self.process

    def _end(self, process: RunProcess) -> dict[str, Any]:
        """What Ray and the records are told about a run whose process has ended."""
        config = self.launcher.config
        record = self.launcher.conclude(self.number, self.parameters, process, self.evaluations, pruned=False)
        evaluations = (*self._earlier, *((self.offset + step, value) for step, value in record.evaluations))
        record = Record(**{**vars(record), "evaluations": evaluations})
        worst = float("-inf") if config.rule == "max" else float("inf")
        step, score = evaluations[-1] if evaluations else (self.offset, worst)
        score = worst if record.status == "failed" else score
        return {"step": step, "score": score, "done": True, "record": record.to_line(config.metric)}

    def _note(self) -> None:
        """Record what must survive a kill."""
        about = {"number": self.number, "parameters": self.parameters, "offset": self.offset}
        self.launcher.folder.note_start(self.number, {**about, "history": self.history, "evaluations": self._earlier})

    def _copy_newest_snapshot(self, target: Path) -> int | None:
        """Copy the newest snapshot and say after how many steps it was made; None if there is none yet."""
        while True:
            found = (path for path in (self.folder / "checkpoints").glob("step_*") if path.name[5:].isdigit())
            newest = max(found, key=lambda path: int(path.name[5:]), default=None)
            if newest is None:
                return None
            try:
                shutil.copytree(newest, target, dirs_exist_ok=True)
            except (FileNotFoundError, shutil.Error):
                # The run has replaced it with a newer one in the meantime.
                shutil.rmtree(target, ignore_errors=True)
                if newest.exists():
                    raise
                continue
            return int(newest.name[5:])

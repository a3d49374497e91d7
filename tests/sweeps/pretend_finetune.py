"""Stands for tools/finetune.py in the tests of sweeps: no model, the same arguments, files and last line.

Every step adds `gain` to the level and evaluates it; the level is the metric, and what a snapshot holds. With
`first_stage` the steps up to that one are a stage of their own, and those behind it a second one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from ofakit.folder_marks import mark


def settings(texts: list[str]) -> dict:
    found = {"gain": 1.0, "train.max_steps": 3, "seconds_a_step": 0.0, "fail": None, "fail_at": None}
    found["first_stage"] = None
    for text in texts:
        key, _, value = text.partition("=")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found


def write(path: Path, values: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(values))
    os.replace(beside, path)


def start(folder: Path, resume: bool, checkpoint: str | None) -> tuple[int, float]:
    """Where to go on: this run's newest snapshot, another's weights, or nothing."""
    steps = [int(path.name[5:]) for path in folder.glob("checkpoints/step_*") if (path / "state.json").exists()]
    if resume and steps:
        state = json.loads((folder / "checkpoints" / f"step_{max(steps)}" / "state.json").read_text())
        return state["step"], state["level"]
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    (folder / "metrics.jsonl").unlink(missing_ok=True)
    return 0, json.loads((Path(checkpoint) / "state.json").read_text())["level"] if checkpoint else 0.0


def metrics_of(folder: Path, step: int, first_stage: int | None) -> tuple[Path, int]:
    """Where a step is written down, and its number there."""
    if first_stage is None:
        return folder / "metrics.jsonl", step
    first, second = folder / "stages" / "1_first", folder / "stages" / "2_second"
    stage = first if step <= first_stage else second
    stage.mkdir(parents=True, exist_ok=True)
    if stage == second:
        write(first / "result.json", {"steps": first_stage})
    return stage / "metrics.jsonl", step - (first_stage if stage == second else 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", nargs="?", default="train")
    parser.add_argument("--conf", required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--checkpoint")
    args = parser.parse_args()
    given = settings(args.overrides)
    if args.mode == "eval":  # of the run whose conf.json it is given; the test split scores half
        level = json.loads((Path(args.conf).parent / "best" / "config.json").read_text())["level"]
        print(json.dumps({"split": given["evaluation.final_split"], "cider": level / 2}))
        return
    folder = Path(given["work_dir"])
    first, level = start(folder, args.resume, args.checkpoint)
    with open(folder / "starts.jsonl", "a", encoding="utf-8") as file:
        threads = os.environ.get("OMP_NUM_THREADS")
        about = {"resume": args.resume, "checkpoint": args.checkpoint, "from": first, "threads": threads}
        file.write(json.dumps({**about, "pid": os.getpid(), "given": given}) + "\n")
    for step in range(first + 1, given["train.max_steps"] + 1):
        time.sleep(given["seconds_a_step"])
        if given["fail"] is not None and step == given["fail_at"]:
            raise RuntimeError(given["fail"])
        level += given["gain"]
        metrics, counted = metrics_of(folder, step, given["first_stage"])
        with open(metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": counted, "epoch": step, "loss": 1 / step}) + "\n")
            file.write(json.dumps({"step": counted, "epoch": step, "evaluation/cider": level}) + "\n")
        write(folder / "checkpoints" / f"step_{step}" / "state.json", {"step": step, "level": level})
        mark(folder / "checkpoints" / f"step_{step}")
    for name in ("best", "output"):
        write(folder / name / "config.json", {"level": level})
        mark(folder / name)
    print("logs may go to stdout too")
    result = {"work_dir": str(folder), "cider": level, "loss": -level, "stages": [{"cider": level / 2}]}
    split = given.get("evaluation.final_split")
    print(json.dumps(result if split is None else {**result, "split": split}))


if __name__ == "__main__":
    sys.exit(main())

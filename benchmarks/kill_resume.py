"""Kill a run with SIGKILL at random moments, resume it each time, and compare its weights with an undisturbed run's.

    python benchmarks/kill_resume.py [--kills 20] [--seed 0]

Prints one JSON object; `bit_equal` must be true and `unreadable_snapshots` 0. Every kill waits until the run has made
at least one step since it was started, and strikes at a random moment after that; `kill_operations.py` strikes at
chosen file operations instead.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from ofakit.hub import load_bundle
from ofakit.trainers.state import latest_snapshot, snapshot_fault

ROOT = Path(__file__).resolve().parents[1]
HOOKS = [
    {"type": "EvaluationHook", "interval": 1},
    {"type": "BestSnapshotHook", "metric_key": "cider"},
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 3, "max_checkpoint_num": 2},
]


def command(work_dir: Path, steps: int) -> list[str]:
    """A small run of the quickstart with dropout, accumulation, workers and a schedule."""
    keys = {
        "work_dir": work_dir, "data.reader.images": 40, "data.reader.val": 4, "data.reader.test": 4,
        "train.max_epochs": 99, "train.max_steps": steps, "train.gradient_accumulation": 2,
        "train.dataloader.batch_size_per_gpu": 8, "train.dataloader.workers_per_gpu": 1, "model.config.dropout": 0.1,
        "train.hooks": json.dumps(HOOKS),
    }  # fmt: skip
    sets = [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, str(ROOT / "tools/finetune.py"), "--conf", str(ROOT / "configs/quickstart.json"), *sets]


def steps_logged(work_dir: Path) -> int:
    """How many steps the run has written."""
    path = work_dir / "metrics.jsonl"
    return path.read_text(encoding="utf-8").count('"loss"') if path.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    folder = Path(tempfile.mkdtemp())
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command(folder / "whole", args.steps), check=True, **quiet)
    kills = unreadable = 0
    while True:
        run = subprocess.Popen([*command(folder / "killed", args.steps), "--resume"], **quiet)
        if kills == args.kills:
            assert run.wait() == 0
            break
        before = steps_logged(folder / "killed")
        while run.poll() is None and steps_logged(folder / "killed") == before:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 2.5))
        if run.poll() is not None:
            break
        run.send_signal(signal.SIGKILL)
        run.wait()
        kills += 1
        snapshot = latest_snapshot(folder / "killed")
        unreadable += snapshot is not None and snapshot_fault(snapshot) is not None
        print(f"kill {kills}: {steps_logged(folder / 'killed')} lines, {snapshot}", file=sys.stderr)
    whole, killed = (load_bundle(folder / name / "output").model.state_dict() for name in ("whole", "killed"))
    equal = whole.keys() == killed.keys() and all(torch.equal(whole[name], killed[name]) for name in whole)
    print(json.dumps({"kills": kills, "steps": args.steps, "bit_equal": equal, "unreadable_snapshots": unreadable}))
    if unreadable or not equal:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

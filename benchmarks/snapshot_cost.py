"""What a snapshot costs the training loop: written in the background, written while the loop waits, and none.

    python benchmarks/snapshot_cost.py [--size tiny] [--steps 20] [--interval 5] [--batch 8] [--ways background]

Trains the quickstart's data with a model of a released size, once without snapshots and once each way. Prints one JSON
object: the median seconds of a step without snapshots; of each way, the seconds that a snapshot holds the loop up, in
`save_snapshot` and where an update waits for its copy (median of all but the first, which gets its memory), those that
the slowest write took, and `_cpu` of the loop's own thread, which other work on the machine changes less. `of_a_step`
is what is held up over a median step, by the clock and by the processor; `held_share_of_epoch` the same over an epoch
of this data, after each of which the usual hooks save. `share_at_100` is what a snapshot every 100 steps adds to the
time of training, counted from the means of all steps, so that whatever the writing thread takes from the steps beside
it is in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from modelscope.trainers.hooks.hook import Hook
from ofakit.config import load_config
from ofakit.trainers import Trainer

ROOT = Path(__file__).resolve().parents[1]


class Clock(Hook):
    """Notes how long steps take, by the clock and by the processor, without what is saved between them."""

    PRIORITY = "HIGHEST"

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.cpu: list[float] = []
        self.began = (0.0, 0.0)

    def before_train_iter(self, trainer):
        self.began = time.perf_counter(), time.thread_time()

    def after_train_iter(self, trainer):
        self.steps.append(time.perf_counter() - self.began[0])
        self.cpu.append(time.thread_time() - self.began[1])


def measured(args: argparse.Namespace, folder: Path, way: bool | None) -> dict[str, float]:
    """One run: in the background, waiting, or (None) without snapshots."""
    hooks = [{"type": "MetricsFileHook", "interval": 1000}]
    if way is not None:
        hooks.append(
            {"type": "SnapshotHook", "save_strategy": "by_step", "interval": args.interval, "save_last": False}
        )
    keys = {
        "work_dir": folder / str(way), "data.image_store": folder / "images", "data.val": "null",
        "model.size": args.size, "model.config": "{}", "train.max_epochs": 99, "train.max_steps": args.steps,
        "train.hooks": json.dumps(hooks), "train.dataloader.batch_size_per_gpu": args.batch,
        "train.async_snapshots": str(way is True).lower(),
    }  # fmt: skip
    trainer = Trainer(experiment=load_config(ROOT / "configs/quickstart.json", [f"{k}={v}" for k, v in keys.items()]))
    clock, held, held_cpu = Clock(), [], []
    trainer.register_hook(clock)
    real = trainer.save_snapshot

    def timed(*arguments, **named):
        began, cpu = time.perf_counter(), time.thread_time()
        saved = real(*arguments, **named)
        held.append(time.perf_counter() - began)
        held_cpu.append(time.thread_time() - cpu)
        return saved

    trainer.save_snapshot = timed
    trainer.train()
    step = statistics.median(clock.steps[1:])
    found = {"step_seconds": step, "mean_step_seconds": statistics.fmean(clock.steps[1:])}
    found |= {"step_cpu_seconds": statistics.median(clock.cpu[1:]), "steps_of_epoch": trainer.iters_per_epoch}
    if way is not None:
        waited = trainer.writer.waited / len(held)
        found |= {"held_seconds": statistics.median(held[1:]) + waited, "of_which_waited": waited}
        found |= {"held_cpu_seconds": statistics.median(held_cpu[1:]), "write_seconds": trainer.writer.longest}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--interval", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=["background", "waiting"])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {name: measured(args, Path(folder), WAYS[name]) for name in ("none", *args.ways)}
    none = found["none"]
    for name in args.ways:
        own = found[name]
        own["of_a_step"] = own["held_seconds"] / none["step_seconds"]
        own["of_a_step_cpu"] = own["held_cpu_seconds"] / none["step_cpu_seconds"]
        own["held_share_of_epoch"] = own["of_a_step"] / none["steps_of_epoch"]
        slower = (own["mean_step_seconds"] - none["mean_step_seconds"]) * args.interval
        own["share_at_100"] = (own["held_seconds"] + slower) / (100 * none["mean_step_seconds"])
    rounded = {name: {key: round(value, 4) for key, value in own.items()} for name, own in found.items()}
    print(json.dumps({"size": args.size, "batch": args.batch, **rounded}))


WAYS = {"none": None, "background": True, "waiting": False}

if __name__ == "__main__":
    main()

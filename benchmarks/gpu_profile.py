"""Where the time of a training step and of beam search goes on a GPU: our side alone, on random weights and images.

    python benchmarks/gpu_profile.py --out work_dir/gpu_profile [--size base] [--batch 64] [--budget 200]
    python benchmarks/gpu_profile.py --device cpu --smoke

For each precision: the seconds of forward, backward, clipping and optimizer; how long Python takes to issue a step
beside how long the device takes to do it; the kernels, the launches and how long the device is busy; and the places
that make Python wait for the device. The same for beam search. Then experiments that need no change of code, such as
CUDA graphs: what a step costs without its launches is what the device alone needs.

Every part has its own time limit and stops no other. Text goes to stdout and `profile.txt`; `profile.json`, with all
numbers, is written anew after every part; traces for a trace viewer stand beside them.
"""

from __future__ import annotations

import argparse
import functools
import json
import signal
import statistics
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_experiments import EXPERIMENTS, Setting
from gpu_trace import kernels, operators, waits
from vs_stock import make_model, random_batch
from vs_stock_worker import Ours, finish, measure_operations, measure_peak

PARTS = ("ceilings", "step", "update", "kernels", "waits", "generate", "experiments")
LIMITS = {"ceilings": 25, "step": 20, "update": 15, "kernels": 30, "waits": 25, "generate": 40, "experiments": 25}
"""Seconds that one part, in one precision, may take; of the experiments, each."""

SLOW = 75
"""Seconds that an experiment with a compiler may take."""


class OutOfTime(BaseException):
    """A part has passed its limit; no Exception, since compilers catch those and go on."""


class Report:
    """What was found, as text at once and as JSON after every part.

    Args:
        out: Folder for `profile.txt`, `profile.json` and traces.
        budget: Seconds that all parts may take together.
    """

    def __init__(self, out: Path, budget: float) -> None:
        self.out, self.end = out, time.monotonic() + budget
        self.found: dict[str, Any] = {}
        out.mkdir(parents=True, exist_ok=True)
        (out / "profile.txt").write_text("", encoding="utf-8")

    def say(self, text: str) -> None:
        """Print a line and keep it.

        Args:
            text: Any number of lines.
        """
        print(text, flush=True)
        with open(self.out / "profile.txt", "a", encoding="utf-8") as file:
            file.write(text + "\n")

    def part(self, name: str, limit: float, function: Callable[[], Any]) -> None:
        """Run a part within its limit and what is left of the budget; an error becomes its result.

        Args:
            name: Key of the result.
            limit: Seconds.
            function: Gives what can be written as JSON.
        """
        seconds = int(min(limit, self.end - time.monotonic()))
        if seconds < 2:
            self.say(f"== {name}: left out, no time left")
            return
        start = time.monotonic()
        signal.signal(signal.SIGALRM, _out_of_time)
        signal.setitimer(signal.ITIMER_REAL, seconds, 5)
        try:
            self.found[name] = function()
        except (Exception, OutOfTime) as error:  # whatever goes wrong in one part must not cost the others
            self.found[name] = {"failed": f"{type(error).__name__}: {str(error)[:600]}", "at": _place(error)}
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        self.say(f"== {name} ({time.monotonic() - start:.1f} s): {shorten(self.found[name])}"[:900])
        (self.out / "profile.json").write_text(json.dumps(self.found, indent=1), encoding="utf-8")


def _out_of_time(*_: Any) -> None:
    raise OutOfTime


def _place(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def shorten(found: Any) -> str:
    """A result on few lines, numbers with four digits.

    Args:
        found: What a part gave.
    """
    if isinstance(found, float):
        return f"{found:.4g}"
    if isinstance(found, dict):
        return "  ".join(f"{name} {shorten(value)}" for name, value in scalars(found).items() if value != {})
    return str(found)


def scalars(found: Any) -> Any:
    """A result without its lists and tables.

    Args:
        found: What a part gave, or all of them.
    """
    if not isinstance(found, dict):
        return found
    names = [name for name, value in found.items() if not isinstance(value, list) and "places" not in name]
    return {name: scalars(found[name]) for name in names}


def median_seconds(function: Callable[[], Any], device: str, repeats: int, warm: int = 2) -> float:
    """Median seconds of a call, the device's work included.

    Args:
        function: What to time.
        device: Where it works.
        repeats: Timed calls.
        warm: Calls before them.
    """
    seconds = []
    for _ in range(warm + repeats):
        finish(device)
        start = time.perf_counter()
        function()
        finish(device)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[warm:])


def split_step(side: Ours, optimizer: torch.optim.Optimizer, batch: dict, device: str, repeats: int) -> dict:
    """Median seconds of a step's phases, each waited for, and of whole steps that are waited for at the end only.

    `issued` is when Python has handed all of a step to the device: near `whole`, the launches set the pace.

    Args:
        side: Model and objective, in training mode.
        optimizer: Of its parameters.
        batch: On the device.
        device: Where the model is.
        repeats: Timed steps.
    """
    held: dict[str, torch.Tensor] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    phases: dict[str, Callable[[], Any]] = {
        "forward": lambda: held.update(loss=side.loss(batch)),
        "backward": lambda: held.pop("loss").backward(),
        "clip": lambda: torch.nn.utils.clip_grad_norm_(parameters, 1.0),
        "optimizer": optimizer.step,
        "zero_grad": optimizer.zero_grad,
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*phases, "whole", "issued")}
    for _ in range(repeats + 2):
        for name, phase in phases.items():
            finish(device)
            start = time.perf_counter()
            phase()
            finish(device)
            seconds[name].append(time.perf_counter() - start)
        start = time.perf_counter()
        for phase in phases.values():
            phase()
        seconds["issued"].append(time.perf_counter() - start)
        finish(device)
        seconds["whole"].append(time.perf_counter() - start)
    return {name: statistics.median(values[2:]) for name, values in seconds.items()}


def time_update(side: Ours, optimizer: torch.optim.Optimizer, batch: dict, setting: Setting) -> dict:
    """Median seconds of the trainer's whole update, which also keeps batch norms' statistics and reads numbers to log.

    Args:
        side: Model and objective, in training mode.
        optimizer: Of its parameters.
        batch: On the device.
        setting: Device, precision and repeats.
    """
    from ofakit.processes import Processes
    from ofakit.trainers.update import Updater, WeightedObjectives

    module = WeightedObjectives(side.model, {"cross_entropy": side.objective}, [1.0], setting.precision)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    updater = Updater(module, optimizer, scheduler, Processes(0, 1, torch.device(setting.device)), 1.0, 3)
    return {"update": median_seconds(lambda: updater([batch], 0), setting.device, setting.repeats)}


def ceilings(side: Ours, batch: dict, options: argparse.Namespace) -> dict:
    """Operations of a training step, and the device's speed in a large product of each precision.

    Args:
        side: Fresh; afterwards it does not learn.
        batch: On the device.
        options: The script's.
    """
    found = measure_operations(side, batch, options)
    for precision in ("fp32", "bf16"):
        arguments = argparse.Namespace(device=options.device, precision=precision, repeats=1 if options.smoke else 5)
        found[precision] = measure_peak(side, batch, arguments)["operations_per_second"]
    return {**found, **{f"least_{kind}_s": found["operations"] / found[kind] for kind in ("fp32", "bf16")}}


def profile_training(report: Report, options: argparse.Namespace, directory: str, batch: dict, precision: str) -> None:
    """Every part that looks at the training step.

    Args:
        report: Takes the results.
        options: The script's.
        directory: The model's.
        batch: On the device.
        precision: fp32 or bf16.
    """
    side = Ours(directory, precision, options.device)
    side.model.train()
    optimizer = side.optimizer()
    setting = Setting(directory, batch, options.device, precision, options.repeats)

    def step() -> None:
        side.loss(batch).backward()
        optimizer.step()
        optimizer.zero_grad()

    step(), step()
    wanted = {
        "step": lambda: split_step(side, optimizer, batch, options.device, options.repeats),
        "update": lambda: time_update(side, optimizer, batch, setting),
        "kernels": lambda: kernels(step, options.device, report.say, report.out / f"step_{precision}.json.gz"),
        "waits": lambda: waits(step, options.device, report.say) | operators(step, report.say),
    }
    for name, function in wanted.items():
        if name in options.parts:
            report.part(f"{name}_{precision}", LIMITS[name], function)


def profile_generation(report: Report, options: argparse.Namespace, directory: str, batch: dict) -> None:
    """Every part that looks at beam search.

    Args:
        report: Takes the results.
        options: The script's.
        directory: The model's.
        batch: On the device.
    """
    for precision in options.precisions:
        generate = Ours(directory, precision, options.device).generator(precision)
        trace = report.out / f"generate_{precision}.json.gz"

        def seconds(generate: Callable = generate) -> dict:
            found = median_seconds(lambda: generate(batch), options.device, options.repeats)
            lengths = Counter(len(tokens) for one in generate(batch) for tokens, _ in one)
            return {"seconds": found, "hypotheses": sum(lengths.values()), "longest": max(lengths, default=0)}

        def inside(generate: Callable = generate, trace: Path = trace) -> dict:
            return kernels(lambda: generate(batch), options.device, report.say, trace)

        def stops(generate: Callable = generate) -> dict:
            found = waits(lambda: generate(batch), options.device, report.say)
            return found | operators(lambda: generate(batch), report.say)

        report.part(f"generate_{precision}", LIMITS["generate"], seconds)
        report.part(f"generate_kernels_{precision}", LIMITS["generate"], inside)
        if precision == options.precisions[0]:
            report.part(f"generate_waits_{precision}", LIMITS["generate"], stops)


def experiment(report: Report, options: argparse.Namespace, directory: str, batch: dict) -> None:
    """Run the experiments that were asked for, each from fresh weights.

    Args:
        report: Takes the results.
        options: The script's.
        directory: The model's.
        batch: On the device.
    """
    for name in options.experiments:
        function, compiles = EXPERIMENTS[name]
        setting = Setting(directory, batch, options.device, "bf16", options.repeats)
        report.part(
            f"experiment_{name}", SLOW if compiles else LIMITS["experiments"], functools.partial(function, setting)
        )
        if options.device == "cuda":
            torch.cuda.empty_cache()


def parse() -> argparse.Namespace:
    """The script's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cpu", "cuda"])
    parser.add_argument("--size", default="base")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp32"], choices=["bf16", "fp32"])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--experiments", nargs="+", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=200, help="seconds for all parts together")
    parser.add_argument("--out", type=Path, default=Path("work_dir/gpu_profile"))
    parser.add_argument("--smoke", action="store_true", help="tiny, batch 2, once: whether everything runs")
    options = parser.parse_args()
    if options.smoke:
        options.size, options.batch, options.repeats, options.budget = "tiny", 2, 1, max(options.budget, 900)
    return options


def main() -> None:
    options = parse()
    report = Report(options.out, options.budget)
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    report.found["settings"] = {
        **{key: str(value) for key, value in vars(options).items()},
        "card": name,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
    report.say(f"{name}, torch {torch.__version__}, {options.size}, batch {options.batch}")
    batch = {name: value.to(options.device) for name, value in random_batch(options.batch).items()}
    with tempfile.TemporaryDirectory() as folder:
        directory = str(Path(folder) / options.size)
        make_model(Path(directory), options.size)
        if "ceilings" in options.parts:
            fresh = Ours(directory, "fp32", options.device)
            report.part("ceilings", LIMITS["ceilings"], lambda: ceilings(fresh, batch, options))
            del fresh
        for precision in options.precisions:
            if {"step", "update", "kernels", "waits"} & set(options.parts):
                profile_training(report, options, directory, batch, precision)
        if "generate" in options.parts:
            profile_generation(report, options, directory, batch)
        if "experiments" in options.parts:
            experiment(report, options, directory, batch)
    print(json.dumps(scalars(report.found)))


if __name__ == "__main__":
    main()

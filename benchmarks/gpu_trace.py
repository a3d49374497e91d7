"""What a call does on the device and where Python waits for it; used by `gpu_profile.py`."""

from __future__ import annotations

import re
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from vs_stock_worker import finish

SHOWN = 25
"""Kernels, and operators, that are printed."""

KINDS = {
    "attention": r"fmha|flash|sdpa|attention",
    "convolution": r"conv|wgrad|dgrad|fprop|implicit|nhwc.*xmma|winograd",
    "product": r"gemm|cutlass|ampere_|sm90_xmma|nvjet|cublas|splitK",
    "batch norm": r"batch_norm|bn_fw|bn_bw|batchnorm",
    "layer norm": r"layer_norm|LayerNorm|GammaBeta",
    "optimizer": r"multi_tensor|FusedAdam",
    "dropout": r"dropout",
    "softmax": r"softmax|SoftMax|logsumexp",
    "sort and top k": r"sort|topk|radix|gatherTopK",
    "reduction": r"reduce",
    "copy and cast": r"copy|Memcpy|CatArray",
    "fill": r"fill|Memset",
    "index": r"index|gather|scatter|embedding",
    "elementwise": r"elementwise|vectorized",
}
"""Kinds of kernels by a pattern in their names; the first that fits counts."""

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero")
"""Operators that give Python, or a shape, what only the device knows."""


def kernels(function: Callable[[], Any], device: str, say: Callable[[str], None], trace: Path) -> dict:
    """One call under the profiler: launches, how long the device is busy, and the kernels that take longest.

    Args:
        function: Warm already.
        device: cuda; on a CPU only operators are listed.
        say: Takes the tables.
        trace: File for a trace viewer.
    """
    kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    finish(device)
    with profile(activities=kinds) as seen:
        start = time.perf_counter()
        function()
        issued = time.perf_counter() - start
        finish(device)
        whole = time.perf_counter() - start
    events = seen.events()
    on_device = [e for e in events if e.device_type == DeviceType.CUDA and not _is_annotation(e)]
    found = {"issued": issued, "whole": whole, "kernels": len(on_device), "busy": busy_seconds(on_device)}
    found["sum"] = sum(e.time_range.elapsed_us() for e in on_device) / 1e6
    by_kind, by_name = Counter(), defaultdict(lambda: [0, 0.0])
    for event in on_device:
        by_kind[kind_of(event.name)] += event.time_range.elapsed_us() / 1e3
        by_name[event.name][0] += 1
        by_name[event.name][1] += event.time_range.elapsed_us() / 1e3
    calls = Counter(e.name for e in events if e.device_type == DeviceType.CPU and re.match(r"cu(da)?[A-Z]", e.name))
    longest = sorted(by_name.items(), key=lambda item: -item[1][1])[:SHOWN]
    say("   ms by kind: " + "  ".join(f"{kind} {ms:.2f}" for kind, ms in by_kind.most_common()))
    say("   calls: " + "  ".join(f"{name} {count}" for name, count in calls.most_common(8)))
    for name, (count, ms) in longest:
        say(f"   {ms:8.3f} ms {count:5} x {shorten_kernel(name)}")
    found |= {"ms_by_kind": dict(by_kind), "calls": dict(calls), "top": [[n, *v] for n, v in longest]}
    found["operators"] = _operator_table(seen, say, device)
    seen.export_chrome_trace(str(trace))
    return found


def _is_annotation(event: Any) -> bool:
    return getattr(event, "is_user_annotation", False) or event.name.startswith(("Optimizer.", "ProfilerStep"))


def _operator_table(seen: Any, say: Callable[[str], None], device: str) -> list[list]:
    rows = [[a.key, a.count, a.self_device_time_total / 1e3, a.self_cpu_time_total / 1e3] for a in seen.key_averages()]
    rows = [row for row in rows if row[2] > 0 or device == "cpu"]
    rows.sort(key=lambda row: -row[2 if device == "cuda" else 3])
    say("   operators: times called, ms on the device, ms of Python and C++ alone")
    for name, count, device_ms, host_ms in rows[:SHOWN]:
        say(f"   {count:5} x {device_ms:8.3f} {host_ms:8.3f}  {name[:90]}")
    return rows[: 2 * SHOWN]


def busy_seconds(events: Iterable[Any]) -> float:
    """How long at least one of the device's events was running.

    Args:
        events: The profiler's, with `time_range` in microseconds.
    """
    total, until = 0.0, 0.0
    for start, end in sorted((e.time_range.start, e.time_range.end) for e in events):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total / 1e6


def kind_of(name: str) -> str:
    """What a kernel is for, by its name.

    Args:
        name: The profiler's.
    """
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, name, re.IGNORECASE)), "other")


def shorten_kernel(name: str) -> str:
    """A kernel's name without what all have; the functor of an elementwise kernel stays.

    Args:
        name: The profiler's.
    """
    short = re.sub(r"void |at::native::|\(anonymous namespace\)::|at::|c10::|std::", "", name)
    functors = re.findall(r"\w+(?:[Ff]unctor|_kernel_cuda|_kernel_impl)\w*", short)
    return f"{short[:80]} {' '.join(dict.fromkeys(functors))[:60]}"


def place() -> str:
    """File, line and function of this package, or of the benchmarks, that called last."""
    for frame in reversed(traceback.extract_stack()):
        path = frame.filename
        inside = "/ofakit/" in path or path.endswith("vs_stock_worker.py")
        if inside:
            return f"{path.rsplit('/ofakit/', 1)[-1].rsplit('/benchmarks/', 1)[-1]}:{frame.lineno} {frame.name}"
    return "backward pass or elsewhere"


def waits(function: Callable[[], Any], device: str, say: Callable[[str], None]) -> dict:
    """How often, and where, one call makes Python wait for the device, as CUDA's own calls tell.

    A wait inside a backward pass is told when that pass ends; `operators` says where it was.

    Args:
        function: What to call.
        device: cuda; elsewhere nothing waits.
        say: Takes the places.
    """
    if device != "cuda":
        return {}
    places: Counter[str] = Counter()
    finish(device)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: places.update([place()] * ("synchroniz" in str(message)))
        torch.cuda.set_sync_debug_mode("warn")
        try:
            function()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    finish(device)
    for where, count in places.most_common(SHOWN):
        say(f"   {count:5} x waits at {where}")
    return {"waits": sum(places.values()), "places": dict(places)}


class _Operators(TorchDispatchMode):
    """Counts operators, and notes where those are called that make Python wait."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.places: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        self.counts[name] += 1
        if name in WAITS or _moves(args, kwargs) or _masks(name, args):
            self.places[f"{name} at {place()}"] += 1
        return function(*args, **(kwargs or {}))


def _moves(args: Any, kwargs: Any) -> bool:
    """Whether a tensor goes from one device to another."""
    there = {a.device.type for a in args if isinstance(a, torch.Tensor) and a.dim()}
    wanted = (kwargs or {}).get("device")
    return len(there | ({torch.device(wanted).type} if wanted is not None and there else set())) > 1


def _masks(name: str, args: Any) -> bool:
    """Whether a mask picks elements, so that the result's size is not known before."""
    if not name.startswith("index") or len(args) < 2 or not isinstance(args[1], (list, tuple)):
        return False
    return any(isinstance(index, torch.Tensor) and index.dtype == torch.bool for index in args[1])


def operators(function: Callable[[], Any], say: Callable[[str], None]) -> dict:
    """How many operators one call runs, backward pass included, and where those are that make Python wait.

    Args:
        function: What to call.
        say: Takes counts and places.
    """
    with _Operators() as seen, torch.autograd.set_multithreading_enabled(False):
        function()
    say("   operators: " + "  ".join(f"{name} {count}" for name, count in seen.counts.most_common(SHOWN)))
    for where, count in seen.places.most_common(SHOWN):
        say(f"   {count:5} x {where}")
    return {"operators": sum(seen.counts.values()), "operator_places": dict(seen.places), "by_name": [seen.counts]}

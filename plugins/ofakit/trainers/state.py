"""Everything a run needs to continue bit for bit, as tensors and plain numbers, without pickle.

step_<n>/model.safetensors      weights and batch-norm statistics
step_<n>/state.safetensors      optimizer moments, random states
step_<n>/state.json             schedule, counters, sampler position, hooks
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from ofakit.errors import UsageError
from ofakit.files import finish_removals, numbered_folders, settle
from ofakit.json_text import from_json, to_json
from ofakit.models.weights import some_of
from ofakit.trainers.parts_of_tensors import like, own_part, whole

__all__ = [
    "TakenState",
    "all_finite",
    "hand_in",
    "latest_snapshot",
    "load_weights",
    "random_state",
    "read_plain",
    "read_state",
    "restore_optimizer",
    "restore_random_state",
    "save_state",
    "take_state",
    "write_state",
    "snapshot_fault",
    "snapshot_folder",
]

WEIGHTS, TENSORS, PLAIN = "model.safetensors", "state.safetensors", "state.json"


def snapshot_folder(work_dir: Path, step: int) -> Path:
    """The folder of the snapshot after `step` updates.

    Args:
        work_dir: The run directory.
        step: Updates made.
    """
    return work_dir / "checkpoints" / f"step_{step}"


def latest_snapshot(work_dir: Path, say: Callable[[str], None] | None = None) -> Path | None:
    """The newest snapshot of a run that is complete and finite.

    Args:
        work_dir: The run directory.
        say: Called for each snapshot that is skipped, with the reason.

    Returns:
        The snapshot; None if there are no snapshots.

    Raises:
        UsageError: There are snapshots, but none is complete and finite.
    """
    folder = work_dir / "checkpoints"
    if not folder.is_dir():
        return None
    finish_removals(folder)
    for aside in folder.glob(".step_*.old"):
        settle(folder / aside.name.removeprefix(".").removesuffix(".old"))
    passed_over: list[str] = []
    for snapshot in reversed(numbered_folders(folder, "step_").values()):
        fault = snapshot_fault(snapshot)
        if fault is None:
            if say is not None:
                for reason in passed_over:
                    say(f"skipped: {reason}")
            return snapshot
        passed_over.append(fault)
    if passed_over:
        raise UsageError(
            f"no snapshot in {folder} can be resumed from: {'; '.join(passed_over)}. Start a new run without --resume, "
            "which moves the old one aside"
        )
    return None


def snapshot_fault(folder: Path) -> str | None:
    """What is wrong with a snapshot: incomplete, damaged or not finite; None if nothing is.

    Args:
        folder: A snapshot.
    """
    try:
        with _readable(folder, cure=""):
            state = from_json((folder / PLAIN).read_bytes())
            _put_tensors_back(state, dict.fromkeys(_names_in(folder / TENSORS), torch.empty(0)))
            state["optimizer"]["state"], state["iter"]  # as `read_state` and the trainer expect them
            for name in (WEIGHTS, TENSORS):
                with safe_open(folder / name, "pt") as file:
                    for key in file.keys():  # noqa: SIM118 (not a dict)
                        if not all_finite([file.get_tensor(key)]):
                            return f"{folder / name} contains a value that is not finite in {key}"
    except UsageError as error:
        return str(error)
    return None


def _names_in(path: Path) -> list[str]:
    """The tensors of a file, whose length is checked against its header."""
    with safe_open(path, "pt") as file:
        return list(file.keys())


def all_finite(tensors: Iterable[torch.Tensor]) -> bool:
    """Whether no tensor has a NaN or an infinity.

    This is decided by their Euclidean norms, which on a CPU take a twentieth of the work of the largest values; only if
    a norm is not finite, perhaps due to huge values, is each value checked.

    Args:
        tensors: Tensors of any type, on any devices.
    """
    groups: dict[tuple[torch.device, torch.dtype], list[torch.Tensor]] = {}
    for value in map(own_part, tensors):
        if value.is_floating_point() and value.numel():
            groups.setdefault((value.device, value.dtype), []).append(value.detach())
    norms = [torch.stack(torch._foreach_norm(group)) for group in groups.values()]
    for group, found in zip(groups.values(), norms, strict=True):
        doubtful = (~torch.isfinite(found)).nonzero().flatten().tolist()
        if not all(bool(torch.isfinite(group[place]).all()) for place in doubtful):
            return False
    return True


def save_state(folder: Path, model: torch.nn.Module, optimizer: Optimizer, rest: Mapping[str, Any]) -> None:
    """Write a snapshot into a folder.

    Args:
        folder: An existing, empty folder.
        model: The model whose weights and buffers are saved.
        optimizer: The optimizer whose state is saved.
        rest: Anything else that is needed, made of JSON values and tensors.
    """
    write_state(folder, take_state(model, optimizer, rest))


@dataclass(frozen=True)
class TakenState:
    """The contents of a snapshot before it is written.

    Attributes:
        weights: Weights and buffers by name, contiguous.
        tensors: The tensors of the optimizer and of the rest.
        plain: Everything else, as JSON values; tensors are replaced by their names.
        is_copied: Whether all tensors are copies; otherwise those that an update changes are the run's own.
    """

    weights: dict[str, torch.Tensor]
    tensors: dict[str, torch.Tensor]
    plain: Any
    is_copied: bool = True

    def copied(self, copies: dict[str, torch.Tensor]) -> TakenState:
        """The same state with all tensors copied.

        Args:
            copies: See `take_state`.
        """
        if self.is_copied:
            return self
        weights = _copied({f"{WEIGHT}{name}": value for name, value in self.weights.items()}, copies)
        plainly_named = {name.removeprefix(WEIGHT): value for name, value in weights.items()}
        return TakenState(plainly_named, _copied(self.tensors, copies), self.plain)


WEIGHT = "weight "
"""Prefix of the names of weights among the copies."""
ONLY_UPDATES_CHANGE = ("/optimizer/", "/average/")


def take_state(
    model: torch.nn.Module,
    optimizer: Optimizer,
    rest: Mapping[str, Any],
    copies: dict[str, torch.Tensor] | None = None,
    later: bool = False,
) -> TakenState:
    """The contents of a snapshot of the current state.

    Args:
        model: The model whose weights and buffers are taken.
        optimizer: The optimizer whose state is taken.
        rest: Anything else that is needed, made of JSON values and tensors.
        copies: Tensors of an earlier snapshot that has been written, by name; the new ones are copied into their
            memory, and training may continue. None: the tensors must be written before anything changes them.
        later: Do not copy yet what only an update changes, which is nearly everything; it is copied before the next
            update.
    """
    tensors: dict[str, torch.Tensor] = {}
    plain = _take_tensors_out({"optimizer": optimizer.state_dict(), **rest}, tensors, "")
    weights = _each_once(model)
    if copies is None:
        weights = {name: whole(value).contiguous() for name, value in weights.items()}
        tensors = {name: whole(value).to("cpu", copy=True).contiguous() for name, value in tensors.items()}
        return TakenState(weights, tensors, plain)
    taken = TakenState(weights, tensors, plain, is_copied=False)
    if not later:
        return taken.copied(copies)
    learnt = {name for name, _ in model.named_parameters()}
    now = {f"{WEIGHT}{name}": value for name, value in weights.items() if name not in learnt}
    now |= {name: value for name, value in tensors.items() if not name.startswith(ONLY_UPDATES_CHANGE)}
    for name, value in _copied(now, copies).items():
        (weights if name.startswith(WEIGHT) else tensors)[name.removeprefix(WEIGHT)] = value
    return taken


def hand_in(model: torch.nn.Module, optimizer: Optimizer, rest: Mapping[str, Any]) -> None:
    """Contribute this process's parts while another process calls `take_state`.

    Args:
        model: See `take_state`.
        optimizer: Likewise.
        rest: Likewise.
    """
    tensors: dict[str, torch.Tensor] = {}
    _take_tensors_out({"optimizer": optimizer.state_dict(), **rest}, tensors, "")
    for value in (*_each_once(model).values(), *tensors.values()):
        whole(value)


def _copied(values: Mapping[str, torch.Tensor], copies: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies of tensors on the CPU, in memory that was used before if there is some of their size.

    A single call copies all of them without Python's lock, so that training continues meanwhile.
    """
    there = {name: whole(value) for name, value in values.items()}
    for name, value in there.items():
        copy = copies.get(name)
        if copy is None or copy.shape != value.shape or copy.dtype != value.dtype:
            copies[name] = torch.empty(value.shape, dtype=value.dtype, pin_memory=value.is_cuda)
    found = {name: copies[name] for name in there}
    moved = [name for name, value in there.items() if value is not found[name]]
    if moved:
        torch._foreach_copy_([found[name] for name in moved], [there[name] for name in moved], non_blocking=True)
    for device in {value.device for value in there.values() if value.is_cuda}:
        torch.cuda.synchronize(device)
    return found


def write_state(folder: Path, state: TakenState) -> None:
    """Write the contents of a snapshot.

    Args:
        folder: Exists and is empty.
        state: From `take_state`.
    """
    save_file(state.weights, folder / WEIGHTS)
    save_file(state.tensors, folder / TENSORS)
    (folder / PLAIN).write_text(to_json(state.plain), encoding="utf-8")


def read_state(folder: Path) -> dict[str, Any]:
    """The contents of a snapshot other than the weights.

    Args:
        folder: A snapshot.

    Returns:
        The `rest` that was passed to `save_state`, with the optimizer's state under `optimizer`.

    Raises:
        UsageError: The folder is not a snapshot, or a file in it is damaged.
    """
    with _readable(folder):
        plain = from_json((folder / PLAIN).read_bytes())
        state = _put_tensors_back(plain, load_file(folder / TENSORS))
        moments = state["optimizer"]["state"]
    state["optimizer"]["state"] = {int(key): value for key, value in moments.items()}
    return state


def read_plain(folder: Path) -> dict[str, Any]:
    """The contents of a snapshot other than tensors, which are not read.

    Args:
        folder: A snapshot.

    Raises:
        UsageError: The folder is not a snapshot, or it is damaged.
    """
    with _readable(folder):
        return dict(from_json((folder / PLAIN).read_bytes()))


def load_weights(folder: Path, model: torch.nn.Module) -> None:
    """Read a snapshot's weights and buffers into the model.

    Args:
        folder: A snapshot.
        model: The model to load them into.

    Raises:
        UsageError: The folder is not a snapshot, its weights are damaged, or they belong to a different model.
    """
    with _readable(folder):
        weights = load_file(folder / WEIGHTS)
    own = _each_once(model)
    differing = sorted(own.keys() ^ weights.keys())
    differing += [name for name, value in own.items() if name in weights and weights[name].shape != value.shape]
    if differing:
        raise UsageError(
            f"{folder} is a snapshot of another model: these weights exist in only one of the two, or differ in shape: "
            f"{some_of(differing)}"
        )
    with torch.no_grad():
        for name, value in own.items():
            own_part(value).copy_(own_part(like(weights[name], value)))


def restore_optimizer(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """Restore an optimizer's state, with each moment in the memory layout of its weight, which files do not record.

    Args:
        optimizer: The optimizer.
        state: The entry `optimizer` of the result of `read_state`.
    """
    every = [weight for group in optimizer.param_groups for weight in group["params"]]
    moments = {
        number: {
            name: like(value, every[number]) if value.shape == every[number].shape else value
            for name, value in own.items()
        }
        for number, own in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": moments})
    for weight, own in optimizer.state.items():
        for name, value in own.items():
            if isinstance(weight, DTensor) or not isinstance(value, torch.Tensor) or value.shape != weight.shape:
                continue
            if value.stride() != weight.stride():
                own[name] = torch.empty_strided(weight.shape, weight.stride(), dtype=value.dtype, device=value.device)
                own[name].copy_(value)


REMOVE = "; remove it to resume from the previous one, or start a new run"


@contextmanager
def _readable(folder: Path, cure: str = REMOVE) -> Iterator[None]:
    """Report what is wrong with a folder that cannot be read."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"{folder} is not a snapshot that can be resumed from: {error}") from None
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"the snapshot {folder} is damaged: {error}{cure}") from None


def _each_once(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's tensors, with shared ones only under their first name, as safetensors cannot share."""
    state = model.state_dict()
    names = [name for name, _ in (*model.named_parameters(), *model.named_buffers()) if name in state]
    return {name: state[name] for name in names}


def random_state() -> dict[str, Any]:
    """The state of every global random generator of this process."""
    numpy = np.random.get_state(legacy=False)
    words = numpy["state"]
    state = {
        "python": random.getstate(),
        "numpy": [numpy["bit_generator"], words["key"].tolist(), words["pos"], numpy["has_gauss"], numpy["gauss"]],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set every global random generator of this process.

    Args:
        state: From `random_state`, possibly after a round trip through a snapshot.
    """
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.asarray(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])


def _take_tensors_out(value: Any, tensors: dict[str, torch.Tensor], path: str) -> Any:
    """The value with every tensor replaced by its name in `tensors`."""
    if isinstance(value, torch.Tensor):
        tensors[path] = value.detach()
        return {"tensor": path}
    if isinstance(value, Mapping):
        return {str(key): _take_tensors_out(item, tensors, f"{path}/{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_take_tensors_out(item, tensors, f"{path}/{number}") for number, item in enumerate(value)]
    return value


def _put_tensors_back(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The inverse of `_take_tensors_out`; tuples come back as lists."""
    if isinstance(value, dict):
        if set(value) == {"tensor"}:
            return tensors[value["tensor"]]
        return {key: _put_tensors_back(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_tensors_back(item, tensors) for item in value]
    return value

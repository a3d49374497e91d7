"""The largest batch that fits in memory, found by trying steps before the first one.

    {"train": {"batch_size": "auto", "examples_per_step": 256}}

Sizes are doubled until a step runs out of memory, then found by bisection. A GPU reports when it is full. On a CPU the
process would be killed or would swap, so a step stops once the tensors kept for its backward pass exceed the available
memory. Each process tries on its own, and the smallest result counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch

from ofakit.errors import UsageError
from ofakit.objectives.base import Objective
from ofakit.processes import Processes, alone
from ofakit.trainers.host_memory import available_memory
from ofakit.trainers.loading import Loading
from ofakit.trainers.memory_estimate import MOMENTS, KeptForBackward
from ofakit.trainers.optimization import build_optimizer, build_scheduler
from ofakit.trainers.out_of_memory import forget, is_out_of_memory
from ofakit.trainers.state import random_state, restore_random_state
from ofakit.trainers.update import Updater, WeightedObjectives

__all__ = ["batches_of_step", "find_batch_size", "largest_batch", "reckoned_batch_size"]

SHARE_OF_CPU, SHARE_OF_GPU = 0.75, 0.92
"""Share of the available memory to use; the rest is for single operations and for batches of longer texts."""
FINENESS = 8
"""A size is found to within an eighth of it."""


def largest_batch(trial: Callable[[int], None], most: int) -> int:
    """The largest batch that fits, to within an eighth of it.

    Args:
        trial: Runs a step with the given number of examples, and runs out of memory if there are too many.
        most: The largest number to try.

    Raises:
        UsageError: Not even one example fits.

    >>> def trial(size):
    ...     if size > 100:
    ...         raise MemoryError
    >>> largest_batch(trial, 1000), largest_batch(trial, 50)
    (96, 50)
    """
    fits, too_large = 0, most + 1
    while too_large - fits > max(1, fits // FINENESS):
        size = min(max(1, 2 * fits), most) if too_large > most else (fits + too_large) // 2
        if _fits(trial, size):
            fits = size
        else:
            too_large = size
    if fits == 0:
        raise UsageError(
            "not even a single example fits in memory; set train.recompute, use a smaller model or "
            "preprocessor.patch_image_size, or set train.precision to bf16",
            "batch_size",
        )
    return fits


def _fits(trial: Callable[[int], None], size: int) -> bool:
    try:
        trial(size)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    else:
        return True
    forget()
    return False


def batches_of_step(examples: int, largest: int, world_size: int) -> tuple[int, int]:
    """How the examples of a step are divided: the batch size of a process, and the number of its batches in a step.

    Args:
        examples: Examples of a step, over all processes.
        largest: Largest size of a batch.
        world_size: Number of processes.

    Raises:
        UsageError: They cannot be divided among the processes.

    >>> batches_of_step(256, 100, 2), batches_of_step(60, 1000, 1)
    ((64, 2), (60, 1))
    """
    if examples % world_size:
        raise UsageError(
            f"train.examples_per_step {examples} cannot be divided among {world_size} processes", "examples_per_step"
        )
    share = examples // world_size
    batch = next(size for size in range(min(largest, share), 0, -1) if share % size == 0)
    return batch, share // batch


def find_batch_size(loading: Loading, objectives: Mapping[str, Objective], weights: Sequence[float]) -> int:
    """The largest batch of a process with which a step can be run; model and random states are not changed.

    Args:
        loading: Loading that is ready to train.
        objectives: The prepared objectives by name.
        weights: One factor per objective.

    Raises:
        UsageError: Not even one example fits, or the amount of memory cannot be determined.
    """
    chance = random_state()
    with alone(), _memory_of_run(loading) as limit:
        found = largest_batch(_trial(loading, objectives, weights, limit), _most(loading))
    restore_random_state(chance)
    forget()
    return min(loading.processes.gather(found))


def reckoned_batch_size(loading: Loading, an_example: float) -> tuple[list[int], int]:
    """What `find_batch_size` would try and find if a step kept as much as was counted before.

    Args:
        loading: Loading with the training examples.
        an_example: Bytes that an example keeps for the backward pass.

    Returns:
        The sizes in the order in which they would be tried, and the largest that should fit.

    Raises:
        UsageError: See `find_batch_size`.
    """
    tried: list[int] = []
    room = _room(loading)

    def trial(size: int) -> None:
        tried.append(size)
        if size * an_example > room:
            raise MemoryError

    return tried, largest_batch(trial, _most(loading))


def _most(loading: Loading) -> int:
    """The largest number of examples that a batch of a process may have."""
    return max(len(loading.training_examples) // loading.processes.world_size, 1)


def _trial(
    loading: Loading, objectives: Mapping[str, Objective], weights: Sequence[float], limit: int | None
) -> Callable[[int], None]:
    """Computes the gradient of a batch of a given size, for each task and group, in this process alone."""
    train, model = loading.experiment.train, loading.bundle.model
    module = WeightedObjectives(model, objectives, weights, train.precision)
    optimizer = build_optimizer(model, train.optimizer)
    scheduler = build_scheduler(optimizer, train.lr_scheduler, 1)
    here = Processes(0, 1, loading.processes.device)
    updater = Updater(module, optimizer, scheduler, here, train.clip_norm, train.max_bad_steps)

    def trial(size: int) -> None:
        model.train()
        for batch in _batches(loading, size):
            with updater.on_trial(), KeptForBackward(model, limit).counting() if limit is not None else nullcontext():
                updater.gradients([loading.task.move(loading.bundle, batch, here.device)], 0)

    return trial


def _batches(loading: Loading, size: int) -> Iterator[dict[str, Any]]:
    """A batch of a given size of each kind that the run has: of every task, and of every group where they are apart."""
    for members in loading.sampler.kept_apart:
        yield loading.collators["train"]([loading.dataset[int(place)] for place in np.resize(members, size)])


@contextmanager
def _memory_of_run(loading: Loading) -> Iterator[int | None]:
    """Allocate what a run needs in addition to a step: moments, the average, buffers for the exchange.

    Yields:
        The bytes that are left for what a step keeps; None if the device reports itself when it is full.
    """
    device = loading.processes.device
    if device.type == "cuda":
        held = _held(loading) + round((1 - SHARE_OF_GPU) * torch.cuda.get_device_properties(device).total_memory)
        reserve = torch.empty(held, dtype=torch.uint8, device=device)
        yield None
        del reserve
        return
    yield _room(loading)


def _room(loading: Loading) -> int:
    """The bytes that are left for what a step keeps, as far as this is known without a step."""
    processes = loading.processes
    gradients = _learning(loading)
    if processes.device.type == "cuda":
        total = torch.cuda.get_device_properties(processes.device).total_memory
        there = SHARE_OF_GPU * total - torch.cuda.memory_allocated(processes.device)
        return round(there) - _held(loading) - gradients
    available = available_memory()
    if available is None:
        raise UsageError("the available memory cannot be determined here; set a number of examples", "batch_size")
    return round(SHARE_OF_CPU * available / processes.world_size) - _held(loading) - gradients


def _held(loading: Loading) -> int:
    """The bytes of what a run needs in addition to weights and a step."""
    more = MOMENTS + (loading.experiment.train.ema is not None) + (loading.processes.world_size > 1)
    return more * _learning(loading)


def _learning(loading: Loading) -> int:
    """The bytes of the trainable weights."""
    return sum(weight.nbytes for weight in loading.bundle.model.parameters() if weight.requires_grad)

"""One update of the weights from one or several batches, the same on one process and on many.

The sum of an objective's loss is divided by the number of target tokens of all batches and processes, or the loss is
computed over the joined batch as a whole (`gradient_cache`); either way the gradient is that of the joined batch. A
step whose loss or gradient is not finite changes neither weights nor running statistics of batch norms. In fp16 this is
also how the scale of the loss is adjusted: such a step halves it, and counts against `max_bad_steps` only if the loss
is no longer scaled up.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ofakit.errors import OfakitError, UsageError
from ofakit.models.base import Model
from ofakit.models.precision import autocast
from ofakit.objectives.base import JoinedObjective, Objective
from ofakit.processes import Processes
from ofakit.trainers.gradient_cache import JoinedLoss, Replay, joined_loss
from ofakit.trainers.out_of_memory import StepOutOfMemory, forget, halves, is_out_of_memory
from ofakit.trainers.sharding import Sharding

__all__ = ["LossNotFinite", "Updater", "WeightedObjectives"]

Batch = Mapping[str, Any]
CURES = "lower train.dataloader.batch_size_per_gpu, or set train.batch_size to auto or train.recompute to true"


class LossNotFinite(OfakitError):
    """Too many steps in a row had a NaN or infinite loss or gradient."""


class WeightedObjectives(nn.Module):
    """The weighted sum of the objectives as one module, so that DDP sees the whole forward pass.

    Args:
        model: The model.
        objectives: The objectives by the name they are logged under, in the order of the configuration.
        weights: One factor per objective.
        precision: "fp32", "bf16" or "fp16", the precision of matrix products.
    """

    def __init__(
        self, model: Model, objectives: Mapping[str, Objective], weights: Sequence[float], precision: str
    ) -> None:
        super().__init__()
        self.model = model
        self.names = list(objectives)
        self.objectives = list(objectives.values())
        self.weights = list(weights)
        self.precision = precision

    def forward(
        self, batch: Batch, normalizers: Sequence[float], step: int, replays: Mapping[str, Replay] | None = None
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """The loss of one batch, a share of the loss of all batches of the step.

        Args:
            batch: A batch from the collator, with images as floats.
            normalizers: The divisor of each objective.
            step: Updates made so far.
            replays: For each objective over the joined batch, by name, what its first pass kept for this batch.

        Returns:
            The scalar to differentiate, and numbers to log, summed over the batches of a step; a pair of a sum and a
            count becomes a mean. `loss` is the batch's contribution to the loss of the step; objectives over the joined
            batch add nothing to the logs here.
        """
        device = self.model.device
        total, surrogates = torch.zeros((), device=device), []
        logs: dict[str, Any] = {}
        several = len(self.objectives) > 1
        # separate, since a second pass must have the random numbers of the first
        own = self.model.for_task(batch.get("task"))
        model, replayed = (_RunOnce(own) if several else own for _ in range(2))
        with autocast(device, self.precision):
            parts = zip(self.names, self.objectives, self.weights, normalizers, strict=True)
            for name, objective, weight, normalizer in parts:
                if not objective.learns_from(batch):
                    continue
                if isinstance(objective, JoinedObjective):
                    surrogates.append((replays or {})[name].surrogate(objective, replayed, batch))
                    continue
                loss, numbers = objective(model, batch, normalizer, step)
                total = total + weight * loss.float()
                logs |= self.named(name, numbers)
        logs["loss"] = total.detach()
        return sum(surrogates, total), logs

    def represent(self, objective: JoinedObjective, model: Any, batch: Batch) -> Mapping[str, torch.Tensor]:
        """The representations of a micro-batch for an objective over the joined batch.

        Args:
            objective: An objective over the joined batch.
            model: The model, or what replaces it.
            batch: On its device.
        """
        return objective.represent(model, batch)

    def named(self, name: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """An objective's numbers to log; a single objective needs no name before them, and its loss is the total.

        Args:
            name: The name of the objective.
            numbers: The numbers that it logs.
        """
        if len(self.names) > 1:
            return {f"{name}/{key}": value for key, value in numbers.items()}
        return {key: value for key, value in numbers.items() if key != "loss"}


class _RunOnce:
    """The model for one batch, whose parts run only once for objectives that pass the same tensor objects.

    Objectives over the joined batch repeat their random numbers in the second pass: the objective that calls first
    draws them in both passes, so that all have the masks of the first pass.

    Args:
        model: The model; everything except `encode`, `decode` and `embed` is passed on to it.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._made: list[tuple[str, bool, dict[str, Any], Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def encode(self, **inputs: Any) -> Any:
        """The result of the model's method, computed or remembered.

        Args:
            **inputs: Arguments of the model's method.
        """
        return self._once("encode", inputs)

    def decode(self, **inputs: Any) -> Any:
        """The result of the model's method, computed or remembered.

        Args:
            **inputs: Arguments of the model's method.
        """
        return self._once("decode", inputs)

    def embed(self, side: str, inputs: Mapping[str, Any], modalities: Sequence[str]) -> Any:
        """The result of the model's method, computed or remembered.

        Args:
            side: Argument of the model's method.
            inputs: Argument of the model's method.
            modalities: Argument of the model's method.
        """
        return self._once("embed", {"side": side, "inputs": inputs, "modalities": tuple(modalities)})

    def _once(self, method: str, inputs: dict[str, Any]) -> Any:
        asked = method, self._model.training
        for known_method, training, known, made in self._made:
            same = (known_method, training) == asked and known.keys() == inputs.keys()
            if same and all(_same(known[name], value) for name, value in inputs.items()):
                return made
        made = getattr(self._model, method)(**inputs)
        self._made.append((*asked, inputs, made))
        return made


def _same(known: Any, value: Any) -> bool:
    """Whether an input is the same as before: the same object, or equal strings."""
    return known is value or (isinstance(value, str | tuple) and known == value)


class Updater:
    """Changes the weights.

    Args:
        module: The objectives with the model, not yet wrapped.
        optimizer: The optimizer, stepped after every update.
        scheduler: The schedule, stepped with the optimizer.
        processes: The processes that train together.
        clip_norm: Largest gradient norm; None: no clipping.
        max_bad_steps: How many steps in a row may have a loss or gradient that is not finite.
        sharding: The sharding that has divided the module among the processes; None: each has the whole.

    Attributes:
        changes: How many steps reached the point of changing weights, schedule or scale.
        before_change: Called before each change of weights, their averages and moments.
        is_under_way: Whether a step has begun but not ended.
        halvings: How often every batch is halved because a step has run out of memory.

    Raises:
        UsageError: The device cannot train in the precision.
    """

    def __init__(
        self,
        module: WeightedObjectives,
        optimizer: torch.optim.Optimizer,
        scheduler: torch.optim.lr_scheduler.LRScheduler,
        processes: Processes,
        clip_norm: float | None,
        max_bad_steps: int,
        sharding: Sharding | None = None,
    ) -> None:
        self.sharding = sharding
        self.represent = module.represent
        self.objectives = module.objectives
        self.joined = {
            name: o for name, o in zip(module.names, module.objectives, strict=True) if isinstance(o, JoinedObjective)
        }
        self.weights = dict(zip(module.names, module.weights, strict=True))
        self.named = module.named
        self.model = module.model
        self.precision = module.precision
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.processes = processes
        self.clip_norm = clip_norm
        self.max_bad_steps = max_bad_steps
        self.bad_steps_in_a_row = 0
        self.bad_steps = 0
        self.buffers: dict[str, torch.Tensor] = {}
        self.changes = 0
        self.before_change: Callable[[], None] = lambda: None
        self.is_under_way = False
        self.halvings = 0
        if processes.device.type == "mps" and module.precision == "fp16":
            raise UsageError(
                "training in fp16 needs loss scaling, which the device mps does not support; choose bf16 or fp32"
            )
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=module.precision == "fp16")
        self.module = self._shared(module)

    def _shared(self, module: WeightedObjectives) -> nn.Module:
        """The module, with gradients averaged over the processes if there are several."""
        if self.processes.world_size == 1 or self.sharding is not None:
            return module
        gpu = self.processes.device.type == "cuda"
        return DistributedDataParallel(
            module,
            device_ids=[self.processes.device.index] if gpu else None,
            find_unused_parameters=True,
        )

    def close(self) -> None:
        """Let go of the other processes; no step follows."""
        if isinstance(self.module, DistributedDataParallel):
            self.module = self.module.module
        if self.sharding is not None:
            self.sharding.close()

    def __call__(self, batches: Sequence[Batch], step: int) -> dict[str, float]:
        """Update the weights once.

        Args:
            batches: The batches of this process, on its device; at least one.
            step: Updates made so far.

        Returns:
            Numbers to log: `loss` and those of the objectives, for the joined batch; `grad_norm` before clipping; `lr`.

        Raises:
            LossNotFinite: The loss or the gradient was not finite `max_bad_steps` times in a row.
        """
        self._keep_buffers()
        self.is_under_way = True
        lr = self.optimizer.param_groups[0]["lr"]
        logs = self._gradients_in_memory(batches, step)
        norm = self._gradient_norm()
        self.before_change()
        self.changes += 1
        if math.isfinite(logs["loss"]) and math.isfinite(norm):
            self.bad_steps_in_a_row = 0
            self.scaler.step(self.optimizer)
        else:
            self._skip(logs["loss"], step)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()
        self.is_under_way = False
        return {**logs, "grad_norm": norm, "lr": lr}

    def gradients(self, batches: Sequence[Batch], step: int) -> dict[str, float]:
        """Add the gradient of a step to the existing one, scaled up in fp16, without changing weights.

        Args:
            batches: The batches of this process, on its device; at least one.
            step: Updates made so far.

        Returns:
            `loss` and the numbers of the objectives, for the joined batch.
        """
        batches = [self._completed(batch, step) for batch in batches]
        return self._backward(batches, self._normalizers(batches), step)

    def _gradients_in_memory(self, batches: Sequence[Batch], step: int) -> dict[str, float]:
        """Compute the gradients of a step; if memory is not enough, again with batches halved from then on.

        Several processes would be in the middle of an exchange, so they end.

        Raises:
            StepOutOfMemory: There are several processes, or batches cannot be halved any further.
        """
        for _ in range(self.halvings):
            batches = _halved(batches) or batches
        while True:
            try:
                return self.gradients(batches, step)
            except Exception as error:
                smaller = _halved(batches)
                if not is_out_of_memory(error):
                    raise
                if smaller is None:
                    raise StepOutOfMemory(f"out of memory in step {step + 1}; {CURES}") from error
                if self.processes.world_size > 1:
                    raise StepOutOfMemory(
                        f"out of memory in step {step + 1} of process {self.processes.rank}; start the run again with "
                        "--resume auto to continue with halved batches, as torchrun --max-restarts does by itself; or "
                        f"{CURES}",
                        self.halvings + 1,
                    ) from error
            batches, self.halvings = smaller, self.halvings + 1
            self._undo()
            forget()

    def _completed(self, batch: Batch, step: int) -> Batch:
        """The batch with the entries that are added before anything is counted, such as generated sequences."""
        with autocast(self.model.device, self.precision):
            batch = self.model.for_task(batch.get("task")).with_frozen_features(batch)
            for objective in self.objectives:
                if objective.learns_from(batch):
                    with self._model_for(objective) as model:
                        batch = {**batch, **objective.complete(model.for_task(batch.get("task")), batch, step)}
        return batch

    @contextmanager
    def _model_for(self, objective: Objective) -> Iterator[Model]:
        """The model that an objective completes a batch with; a whole model if the objective runs it."""
        if self.sharding is None or not objective.completes_with_model:
            yield self.model
            return
        with self.sharding.whole_model(self.model) as model:
            yield model

    def _normalizers(self, batches: Sequence[Batch]) -> list[float]:
        """The divisor of each objective: its count over all batches and processes."""
        counts = [
            float(sum(objective.normalizer(batch) for batch in batches if objective.learns_from(batch)))
            for objective in self.objectives
        ]
        return [max(count, 1.0) for count in self.processes.total(counts)]

    def _backward(self, batches: Sequence[Batch], normalizers: Sequence[float], step: int) -> dict[str, float]:
        """Sum the gradients of all batches; the logs are sums over batches and processes, or means of pairs."""
        model, processes = self.model.for_task(batches[0].get("task")), self.processes
        views = [_RunOnce(model) for _ in batches] if len(self.joined) > 1 else None
        joined = {
            name: joined_loss(
                objective, model, batches, processes, self.precision, self.weights[name], views, self.represent
            )
            for name, objective in self.joined.items()
            if objective.learns_from(batches[0])
        }
        sums = _Sums()
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            replays = {name: found.replays[number] for name, found in joined.items()}
            with nullcontext() if last else self._without_exchange():
                loss, logs = self.module(batch, normalizers, step, replays)
                self.scaler.scale(loss * self.processes.world_size).backward()
            sums.add(logs)
        if self.sharding is not None:
            self.sharding.exchange_undivided()
        return self._with_joined(sums.over(self.processes).means(), joined)

    def _without_exchange(self) -> AbstractContextManager[None]:
        """Do not exchange gradients yet; they are exchanged in the backward pass of the last batch."""
        return self.module.no_sync() if isinstance(self.module, DistributedDataParallel) else nullcontext()

    def _with_joined(self, logs: dict[str, float], joined: Mapping[str, JoinedLoss]) -> dict[str, float]:
        """The numbers of a step, with those of objectives over the joined batch, complete in every process."""
        for name, found in joined.items():
            logs["loss"] += self.weights[name] * found.value
            numbers = _Sums()
            numbers.add({"loss": found.value, **found.logs})
            logs |= self.named(name, numbers.means())
        return logs

    def _gradient_norm(self) -> float:
        """The norm of the gradient, which is also clipped if requested."""
        self.scaler.unscale_(self.optimizer)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        limit = self.clip_norm if self.clip_norm is not None else math.inf
        if self.sharding is not None:
            return self.sharding.clip(weights, limit)
        return float(torch.nn.utils.clip_grad_norm_(weights, limit))

    def _keep_buffers(self) -> None:
        """Copy the model's buffers, such as batch-norm statistics, together; one by one would take 200 launches."""
        now = dict(self.model.named_buffers())
        if self.buffers.keys() != now.keys():
            self.buffers = {name: torch.empty_like(value) for name, value in now.items()}
        for kind in {value.dtype for value in now.values()}:
            names = [name for name, value in now.items() if value.dtype == kind]
            torch._foreach_copy_([self.buffers[name] for name in names], [now[name] for name in names])

    def _put_buffers_back(self) -> None:
        """Restore the model's buffers from before the step."""
        with torch.no_grad():
            for name, value in self.model.named_buffers():
                if name in self.buffers:
                    value.copy_(self.buffers[name])

    def take_back(self) -> None:
        """Restore the model from before a step that failed before it changed the weights (`changes`)."""
        if self.is_under_way:
            self._undo()
            self.is_under_way = False

    def _undo(self) -> None:
        """Discard the gradients of this step and its changes of the buffers."""
        self._put_buffers_back()
        self.optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def on_trial(self) -> Iterator[None]:
        """Discard the gradients of the block and its changes of the buffers."""
        self._keep_buffers()
        try:
            yield
        finally:
            self._undo()

    def _skip(self, loss: float, step: int) -> None:
        """Restore the model from before the step, and count the step."""
        too_large = math.isfinite(loss) and self.scaler.get_scale() > 1
        self._put_buffers_back()
        self.bad_steps += 1
        self.bad_steps_in_a_row += not too_large
        if self.bad_steps_in_a_row >= self.max_bad_steps:
            what = "gradient" if math.isfinite(loss) else "loss"
            raise LossNotFinite(
                f"the {what} was not finite for {self.bad_steps_in_a_row} consecutive steps (the last was step "
                f"{step}). "
                "The last good snapshot is intact; lower train.optimizer.lr, or use bf16 or fp32 instead of fp16"
            )


def _halved(batches: Sequence[Batch]) -> list[Batch] | None:
    """Split every batch that has two examples; None if no batch has, or a batch cannot be divided."""
    parts = [halves(batch) for batch in batches]
    if all(part is None for part in parts):
        return None
    return [half for batch, part in zip(batches, parts, strict=True) for half in (part or (batch,))]


class _Sums:
    """Numbers that are summed over the micro-batches of a step, and means of pairs.

    They are read at the end: reading one waits for the device, which would then wait for the next micro-batch.
    """

    def __init__(self) -> None:
        self.values: dict[str, list[Any]] = {}
        self.counts: dict[str, float] = {}

    def add(self, logs: Mapping[str, Any]) -> None:
        """Add the numbers of one micro-batch.

        Args:
            logs: A pair is a sum and a count.
        """
        for name, value in logs.items():
            value, count = value if isinstance(value, tuple) else (value, 0)
            self.values.setdefault(name, []).append(value)
            self.counts[name] = self.counts.get(name, 0.0) + count

    def over(self, processes: Processes) -> _Sums:
        """The sums over all processes.

        Args:
            processes: The processes that train together; all have the same names.
        """
        names = sorted(self.values)
        totals = processes.total([self._sum(name) for name in names] + [self.counts[name] for name in names])
        joined = _Sums()
        joined.values = {name: [total] for name, total in zip(names, totals[: len(names)], strict=True)}
        joined.counts = dict(zip(names, totals[len(names) :], strict=True))
        return joined

    def means(self) -> dict[str, float]:
        """The sums, those of pairs divided by their counts."""
        sums = {name: self._sum(name) for name in self.values}
        return {name: value / self.counts[name] if self.counts[name] else value for name, value in sums.items()}

    def _sum(self, name: str) -> float:
        """The numbers of one name, added in order; `sum` rounds differently from Python 3.12 on."""
        return functools.reduce(operator.add, map(float, self.values[name]), 0.0)

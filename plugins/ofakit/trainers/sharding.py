"""Weights, gradients and moments divided among the processes: FSDP2, `torch.distributed.fsdp.fully_shard`.

    {"train": {"sharding": "full"}}

Every process holds its rows of each weight. A layer's weights are gathered for its forward pass, and either gathered
again for its backward pass ("full", ZeRO-3) or kept until then ("grad", ZeRO-2); weights outside the layers are
gathered once per pass. Frozen weights and parameters of a loss stay whole on every process. Saving and evaluation use a
whole model, gathered for this purpose.

Source: Zhao et al. 2023, https://arxiv.org/abs/2304.11277; Rajbhandari et al. 2020, https://arxiv.org/abs/1910.02054.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Variable
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from ofakit.errors import UsageError
from ofakit.models.base import Model
from ofakit.models.repeated_layers import repeated_layers
from ofakit.processes import Processes
from ofakit.trainers.parts_of_tensors import own_part, whole

__all__ = ["Sharding"]


class Sharding:
    """A module whose weights are divided among the processes.

    Args:
        module: A module with the model as `model`, changed in place; its `represent` and its forward pass run the
            model.
        kind: What is divided during a step: gradients and moments, or also the weights.
        processes: The processes that train together.
        of_losses: Names of the model's parameters that belong to losses.

    Raises:
        UsageError: The model skips layers at random, different ones in each process.
    """

    def __init__(
        self, module: nn.Module, kind: Literal["grad", "full"], processes: Processes, of_losses: Iterable[str] = ()
    ) -> None:
        model: Any = module.model
        _refuse_layer_drop(model)
        self.processes = processes
        self._twin: Model = _emptied(copy.deepcopy(model))
        lost = set(of_losses)
        named = dict(model.named_parameters())
        undivided = {w for name, w in named.items() if not w.requires_grad or w.dim() == 0 or name in lost}
        self._undivided = [weight for weight in named.values() if weight in undivided and weight.requires_grad]
        module.register_forward_hook(self._agree_on_gradients)  # before those of FSDP, and so ahead of them in backward
        self._mesh = mesh = init_device_mesh(processes.device.type, (processes.world_size,))
        for layer in repeated_layers(model):
            if any(weight not in undivided for weight in layer.parameters()):
                fully_shard(layer, mesh=mesh, reshard_after_forward=kind == "full", ignored_params=undivided)
        fully_shard(module, mesh=mesh, ignored_params=undivided)
        register_fsdp_forward_method(module, "represent")

    def close(self) -> None:
        """Let the mesh hold no process group: it outlives the model, among what PyTorch remembers of its operations."""
        getattr(self._mesh, "_pg_registry", {}).clear()

    def _agree_on_gradients(self, module: nn.Module, _: Any, output: tuple[Tensor, Any]) -> None:
        """Give every process the gradients that any process has, with zeros for weights that it did not use.

        FSDP exchanges all existing gradients in one piece, which must have the same size in every process.
        """

        def agree() -> None:
            weights = [w for w in module.parameters() if w.requires_grad and not isinstance(w, DTensor)]
            used = self.processes.total([float(weight.grad is not None) for weight in weights])
            for weight, count in zip(weights, used, strict=True):
                if count and weight.grad is None:
                    weight.grad = torch.zeros_like(weight)

        if output[0].requires_grad:
            output[0].register_hook(lambda _: Variable._execution_engine.queue_callback(agree))

    def exchange_undivided(self) -> None:
        """Average the gradients of weights that stay whole; FSDP averages the others."""
        for weight in self._undivided:
            if weight.grad is not None:
                distributed.all_reduce(weight.grad.div_(self.processes.world_size))

    @torch.no_grad()
    def clip(self, weights: Sequence[nn.Parameter], limit: float) -> float:
        """Scale the gradients down to a norm, like `torch.nn.utils.clip_grad_norm_`.

        Args:
            weights: The trainable weights.
            limit: The largest norm.

        Returns:
            The norm before clipping, of all gradients of all processes.
        """
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        shares = (_square(gradient) / (1 if isinstance(gradient, DTensor) else self._count) for gradient in gradients)
        norm = math.sqrt(self.processes.total([sum(shares)])[0])
        factor = min(1.0, limit / (norm + 1e-6))
        if factor < 1 and math.isfinite(norm):
            torch._foreach_mul_([own_part(gradient) for gradient in gradients], factor)
        return norm

    @property
    def _count(self) -> int:
        return self.processes.world_size

    @contextmanager
    def whole_model(self, model: Model, weights: Mapping[str, Tensor] | None = None) -> Iterator[Model]:
        """A whole model in addition to the divided one, for the duration of the block; every process must call this.

        Args:
            model: The divided model.
            weights: Weights that replace the model's own, by name.
        """
        twin, given = self._twin, weights or {}
        with torch.no_grad():
            own = dict(model.named_parameters())
            for name, weight in twin.named_parameters():
                weight.data = whole(given.get(name, own[name]).detach()).clone()
            buffers = dict(model.named_buffers())
            for name, buffer in twin.named_buffers():
                buffer.copy_(buffers[name])
        twin.train(model.training)
        try:
            yield twin
        finally:
            _emptied(twin)


def _square(gradient: Tensor) -> float:
    """The sum of squares of this process's part of a gradient."""
    return float(torch.linalg.vector_norm(own_part(gradient), dtype=torch.float64)) ** 2


def _emptied(model: Model) -> Model:
    """The model without memory for its weights; shared weights stay shared."""
    for weight in model.parameters():
        weight.grad = None
        weight.data = weight.data.new_empty(0)
    return model


def _refuse_layer_drop(model: nn.Module) -> None:
    for module in model.modules():
        config = getattr(module, "config", None)
        for key in ("encoder_layerdrop", "decoder_layerdrop", "layerdrop"):
            if (getattr(config, key, 0) or 0) > 0:
                raise UsageError(
                    f"with sharding every process must run every layer, but the model's {key} skips some; set it to 0 "
                    "in model.config, or train.sharding to none",
                    "sharding",
                )

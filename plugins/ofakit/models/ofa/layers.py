"""Shared by encoder and decoder layers: residual branches with NormFormer's extra norms, and the feed-forward net.

Source: ModelScope 1.40.2, `models/multi_modal/ofa/modeling_ofa.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import unserializable_hook

from ofakit.models.adapters.linear import AdaptedLinear
from ofakit.models.ofa.attention import Attention
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.recompute import norm_linear

__all__ = [
    "ResidualLayer",
    "announce_dense_gradient",
    "drop_path",
    "dropout",
    "initialize",
    "look_up",
    "surviving_layers",
]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


if TYPE_CHECKING:

    class SharedWeight(Tensor):
        """A token embedding that `look_up` has seen.

        Attributes:
            late_rows: Ids, and gradients of their rows, that are still to be added to the dense gradient.
            dense_gradient_in: The backward pass in which there is such a gradient.
        """

        late_rows: list[tuple[Tensor, Tensor]]
        dense_gradient_in: int | None


CHOICES = 2**16
"""Values of a random number of two bytes."""


def drop_path(x: Tensor, rate: float) -> Tensor:
    """Drop a whole branch for some examples and scale up the others.

    Source: Huang et al. 2016, https://arxiv.org/abs/1603.09382.

    Args:
        x: `(B, ...)`.
        rate: Probability of dropping, at least 0 and under 1.
    """
    keep = 1 - rate
    kept = torch.rand((len(x),) + (1,) * (x.dim() - 1), dtype=torch.float32, device=x.device) < keep
    return x * (kept.to(x.dtype) / keep)


def dropout(x: Tensor, rate: float, training: bool = True) -> Tensor:
    """In training, set each number to 0 with the probability `rate` and scale up the others.

    On a CPU the random bits come from NumPy's SFC64, seeded by PyTorch's generator: twice as fast as
    `torch.nn.functional.dropout` (2.0 to 3.0 times on an AMD EPYC). There the rate is a multiple of 1 / 65,536.

    Args:
        x: Of any shape.
        rate: At least 0 and under 1.
        training: Otherwise, and at a rate of 0, x stays as it is.
    """
    if not training or rate == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, rate)
    kept = max(1, round((1 - rate) * CHOICES))
    source = np.random.Generator(np.random.SFC64(int(torch.randint(2**63 - 1, ()))))
    bits = torch.from_numpy(source.integers(0, CHOICES, x.numel(), np.uint16).view(np.int16)).view(x.shape)
    return x * (bits <= kept - 1 - CHOICES // 2).to(x.dtype).mul_(CHOICES / kept)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding = weight, padding
        return F.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, None]:
        weight, ids = ctx.weight, ctx.saved_tensors[0].flatten()
        rows = grad.flatten(0, -2)
        if ctx.padding is not None and ids.device.type == "cpu":
            kept = ids != ctx.padding
            ids, rows = ids[kept], rows[kept]
        elif ctx.padding is not None:  # an accelerator would be waited for to count the rows that stay
            rows = rows.masked_fill((ids == ctx.padding)[:, None], 0)
        if weight.dense_gradient_in == _backward_pass():
            weight.late_rows.append((ids, rows))
            return None, None, None
        return None, torch.sparse_coo_tensor(ids[None], rows, weight.shape, check_invariants=False), None


def _backward_pass() -> int:
    """Tells one call of `backward` from every other."""
    return torch._C._current_graph_task_id()


def announce_dense_gradient(weight: Tensor) -> None:
    """To be called in a backward pass by what gives a weight a dense gradient: look-ups then add theirs to it in place.

    Autograd itself adds a sparse gradient to a dense one by copying the dense one.

    Args:
        weight: A leaf; one that `look_up` has not seen is left as it is.
    """
    shared = cast("SharedWeight", weight)
    if hasattr(weight, "late_rows") and shared.dense_gradient_in != _backward_pass():
        shared.dense_gradient_in = _backward_pass()
        shared.late_rows.clear()


@unserializable_hook
def _complete_gradient(weight: Tensor) -> None:
    gradient, late_rows = cast(Tensor, weight.grad), cast("SharedWeight", weight).late_rows
    if gradient.is_sparse:
        gradient = weight.grad = gradient.to_dense()
    for ids, rows in late_rows:
        gradient.index_add_(0, ids, rows.to(gradient.dtype))
    late_rows.clear()


def look_up(embedding: nn.Embedding, ids: Tensor) -> Tensor:
    """The embeddings of tokens, with a gradient of the size of the tokens instead of the vocabulary.

    Encoder, decoder and output projection share one weight: two of its three gradients are then added row by row to
    that of the projection. The weight's own gradient is dense in any case. It is complete in `weight.grad` after
    `backward`; `torch.autograd.grad` gives that of the projection alone.

    Args:
        embedding: A token embedding; its padding row learns nothing.
        ids: Integers of any shape.

    Returns:
        `(*ids.shape, d)`.
    """
    weight = embedding.weight
    if not (weight.requires_grad and torch.is_grad_enabled()):
        return F.embedding(ids, weight)
    if not hasattr(weight, "late_rows"):
        weight.register_post_accumulate_grad_hook(_complete_gradient)
        shared = cast("SharedWeight", weight)
        shared.late_rows, shared.dense_gradient_in = [], None
    return _LookUp.apply(ids, weight, embedding.padding_idx)


def surviving_layers(layers: nn.ModuleList, rate: float, training: bool) -> list[tuple[int, nn.Module]]:
    """The layers that take part in this pass, with their indices.

    Source: LayerDrop, Fan et al. 2019, https://arxiv.org/abs/1909.11556.

    Args:
        layers: All of them.
        rate: Probability of leaving a layer out.
        training: Outside training all take part.
    """
    numbered = list(enumerate(layers))
    if not training or rate <= 0:
        return numbered
    chance = torch.rand(len(numbered)).tolist()
    return [pair for pair, draw in zip(numbered, chance, strict=True) if draw > rate]


def initialize(module: nn.Module, std: float) -> None:
    """Give linear layers and embeddings the stock initialisation; everything else keeps its own.

    Args:
        module: One module; use it with `nn.Module.apply`.
        std: The configuration's `init_std`.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()


class ResidualLayer(nn.Module):
    """A layer made of residual branches, the last of which is the feed-forward net.

    Args:
        config: The model's configuration.
        ffn_width: Width of the feed-forward net.
        heads: Attention heads.
        normalize_before: Normalise a branch's input; otherwise its sum with the residual.
        drop_path_rate: Probability of dropping a branch for one example in training.
    """

    weight_self_attn: nn.Parameter | None
    weight_ffn: nn.Parameter | None

    def __init__(
        self, config: OFAConfig, ffn_width: int, heads: int, normalize_before: bool, drop_path_rate: float
    ) -> None:
        super().__init__()
        width = config.d_model
        self.normalize_before = normalize_before
        self.drop_path_rate = drop_path_rate
        self.dropout = config.dropout
        self.activation_dropout = config.activation_dropout
        self.activation = _ACTIVATIONS[config.activation_function]
        self.self_attn = Attention(width, heads, config.attention_dropout, config.attn_scale_factor)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.self_attn_mid_layer_norm = nn.LayerNorm(width) if config.normformer else None
        self.fc1 = nn.Linear(width, ffn_width)
        self.fc2 = nn.Linear(ffn_width, width)
        self.ffn_layer_norm = nn.LayerNorm(ffn_width) if config.normformer else None
        self.final_layer_norm = nn.LayerNorm(width)

    def add_gains(self, config: OFAConfig, *branches: str) -> None:
        """Give branches a learned gain a channel, where the configuration has `use_gamma_feature`.

        Args:
            config: The model's configuration.
            *branches: `self_attn`, `cross_attn` or `ffn`.
        """
        for branch in branches:
            gain = (
                nn.Parameter(torch.full((config.d_model,), float(config.gamma))) if config.use_gamma_feature else None
            )
            self.register_parameter(f"weight_{branch}", gain)

    def branch(
        self,
        x: Tensor,
        function: Callable[[Tensor], Tensor],
        norm: nn.Module,
        mid: nn.Module | None,
        gain: Tensor | None,
    ) -> Tensor:
        """Add one residual branch.

        Args:
            x: `(B, T, d)`.
            function: What the branch computes.
            norm: Its layer norm, applied before the branch or after the sum.
            mid: The norm on the branch's result, or none.
            gain: `(d,)` factor on it, or none.

        Returns:
            `(B, T, d)`.
        """
        y = function(norm(x) if self.normalize_before else x)
        if mid is not None:
            y = mid(y)
        y = dropout(y, self.dropout, self.training)
        if gain is not None:
            y = y * gain
        if self.training and self.drop_path_rate > 0:
            y = drop_path(y, self.drop_path_rate)
        y = x + y
        return y if self.normalize_before else norm(y)

    def feed_forward(self, x: Tensor) -> Tensor:
        """fc2(norm(activation(fc1(x)))), `(B, T, d) -> (B, T, d)`.

        Args:
            x: Normalised states.
        """
        y = self.fc1(x)
        rate = self.activation_dropout if self.training else 0.0
        norm = self.ffn_layer_norm
        adapter = self.fc2.adapter if isinstance(self.fc2, AdaptedLinear) else None
        takes_input = adapter is not None and adapter.looks_at_input
        if torch.is_grad_enabled() and y.requires_grad and rate == 0 and not takes_input:
            parameters = () if norm is None else (norm.weight, norm.bias)
            z = norm_linear(y, self._activate, parameters, self.fc2.weight, self.fc2.bias)
            return z if adapter is None else adapter.after(y, z)
        y = dropout(self.activation(y), rate)
        return self.fc2(y if norm is None else norm(y))

    def _activate(self, x: Tensor, *norm: Tensor) -> Tensor:
        y = self.activation(x)
        if not norm:
            return y
        # A CPU normalises half precision with weights in fp32; a GPU wants one type.
        gain, shift = norm
        states = y if y.device.type == "cpu" else y.to(gain.dtype)
        return F.layer_norm(states, y.shape[-1:], gain, shift).to(y.dtype)

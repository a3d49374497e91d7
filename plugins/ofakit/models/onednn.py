"""Matrix products in fp32 on AMD's processors, by oneDNN in place of MKL.

PyTorch multiplies fp32 matrices by MKL, which on an AMD EPYC with AVX-512 reaches 110 GFLOP/s a thread where oneDNN
reaches 240 to 260, for weights as they are and for all three products of a training step
(`benchmarks/fp32_products.py`). The operator is the one that PyTorch's compiler emits (`torch.ops.mkldnn`). Everywhere
else, and where a build of PyTorch lacks it, everything is as usual.

    use_onednn(model)                   # its linear layers, for training and inference
    linear(x, weight, bias)             # as torch.nn.functional.linear
    product(a, b)                       # a @ b, without gradients
"""

from __future__ import annotations

import functools
import math
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

__all__ = ["OneDNNLinear", "linear", "onednn_is_faster", "product", "use_onednn"]

SMALL = 2**20
"""Multiplications below which what PyTorch does around a product takes as long as the product."""


@functools.cache
def onednn_is_faster() -> bool:
    """Whether this processor is AMD's, and this build of PyTorch has oneDNN's product."""
    try:
        amd = "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        amd = "AuthenticAMD" in platform.processor()
    return amd and _works()


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b, not differentiable.

    Args:
        a: `(n, k)`, in any layout.
        b: `(k, m)`, in any layout.
    """
    if not _suits(a, b, b.shape[1]):
        return a @ b
    (n, k), m = a.shape, b.shape[1]
    # The operator copies a first factor that is not contiguous: let that be the smaller of the two.
    if not a.is_contiguous() and k * (n - m) > 4 * n * m:
        return _multiply(b.t(), a, None).t().contiguous()
    return _multiply(a, b.t(), None)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias, `(..., in) -> (..., out)`, once differentiable.

    Args:
        x: States.
        weight: `(out, in)`.
        bias: `(out,)`, or none.
    """
    if torch.compiler.is_compiling() or torch.is_autocast_enabled(x.device.type) or not _suits(x, weight, len(weight)):
        return F.linear(x, weight, bias)
    given = (x, weight) if bias is None else (x, weight, bias)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
        return _Linear.apply(x, weight, bias)
    return _multiply(x, weight, bias)


class OneDNNLinear(nn.Linear):
    """A linear layer by `linear`; what `use_onednn` makes of one."""

    def forward(self, x: Tensor) -> Tensor:
        """Project, `(..., in) -> (..., out)`.

        Args:
            x: States.
        """
        return linear(x, self.weight, self.bias)


def use_onednn(model: nn.Module) -> None:
    """Let the linear layers of a model that are on a CPU multiply by `linear`, where that is faster.

    Args:
        model: Any; its layers change their class alone, so that parameters, names and state dicts stay. Layers of
            classes that inherit from `nn.Linear` stay as they are.
    """
    if onednn_is_faster():
        for module in model.modules():
            if type(module) is nn.Linear and module.weight.device.type == "cpu":
                module.__class__ = OneDNNLinear


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        x_learns, weight_learns, bias_learns = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        dx = product(rows, weight).view(x.shape) if x_learns else None
        dweight = product(rows.t(), x.flatten(0, -2)) if weight_learns else None
        return dx, dweight, rows.sum(0) if bias_learns else None


def _suits(a: Tensor, b: Tensor, columns: int) -> bool:
    """Whether oneDNN takes a product of `(..., k)` with a matrix of so many columns, and it is worth it."""
    fp32 = a.dtype == b.dtype == torch.float32 and a.device.type == b.device.type == "cpu"
    return fp32 and a.dim() > 1 and a.numel() * columns >= SMALL and onednn_is_faster()


def _multiply(a: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """a weight^T + bias."""
    return torch.ops.mkldnn._linear_pointwise(a, weight, bias, "none", [], "")


@functools.cache
def _works() -> bool:
    """Whether there is oneDNN's product, and it gives what PyTorch's gives, for weights in either layout.

    From here on `torch.utils.flop_counter` counts it.
    """
    from torch.utils.flop_counter import register_flop_formula

    random = torch.Generator().manual_seed(0)
    a, b = torch.randn((3, 2, 8), generator=random), torch.randn((8, 5), generator=random)
    try:
        found = [_multiply(a, weight, None) for weight in (b.t(), b.t().contiguous())]
        found.append(_multiply(b.t(), a[0], None).t())
        register_flop_formula(torch.ops.mkldnn._linear_pointwise)(_operations)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return all(
        torch.allclose(one, other, atol=1e-5) for one, other in zip(found, (a @ b, a @ b, a[0] @ b), strict=True)
    )


def _operations(a: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
    """Floating-point operations, for `torch.utils.flop_counter`."""
    return 2 * math.prod(a) * weight[0]

"""Steps that keep little for the backward pass and compute the rest again, where that is cheap.

What is computed again is elementwise, or a small part of the arithmetic; what is saved in return is half of the
activations of a training step. The idea is that of Chen et al. 2016, https://arxiv.org/abs/1604.06174, applied to
single steps instead of whole layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["biased_attention", "finish_bottleneck", "norm_linear", "norm_relu_convolution", "recomputed"]


class _BiasedAttention(torch.autograd.Function):
    """Attention, one example at a time so that its scores stay in the cache; keeps queries, keys and values alone."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, padding: Tensor | None, scale: float
    ) -> Tensor:
        out = torch.empty(q.shape[0], q.shape[2], q.shape[1], q.shape[3], dtype=q.dtype).transpose(1, 2)
        bias = bias.to(q.dtype)
        for b in range(len(q)):
            mask = bias if padding is None else bias + padding[b].to(q.dtype)
            out[b : b + 1] = F.scaled_dot_product_attention(
                q[b : b + 1], k[b : b + 1], v[b : b + 1], attn_mask=mask[None], scale=scale
            )
        ctx.save_for_backward(q, k, v, bias, padding)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, bias, padding = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        dbias = torch.zeros(bias.shape, dtype=torch.promote_types(bias.dtype, torch.float32))
        wide = bias.to(dbias.dtype)
        for b in range(len(q)):
            mask = wide if padding is None else wide + padding[b]
            scores = torch.matmul(q[b] * ctx.scale, k[b].transpose(-1, -2))
            weights = (scores + mask).softmax(-1)
            dweights = torch.matmul(grad[b], v[b].transpose(-1, -2))
            dscores = torch.ops.aten._softmax_backward_data(dweights.to(weights.dtype), weights, -1, weights.dtype)
            dbias += dscores
            dv[b] = torch.matmul(weights.to(v.dtype).transpose(-1, -2), grad[b])
            dscores = dscores.to(q.dtype)
            dq[b] = torch.matmul(dscores, k[b]).mul_(ctx.scale)
            dk[b] = torch.matmul(dscores.transpose(-1, -2), q[b]).mul_(ctx.scale)
        return dq, dk, dv, dbias, None, None


def biased_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, padding: Tensor | None, scale: float) -> Tensor:
    """softmax(scale * q k^T + bias + padding) v, differentiable in all but `padding`; for training on a CPU.

    PyTorch's fused attention has no gradient for a bias on CPUs, and its plain one keeps the weights of every example.

    Args:
        q: `(B, H, Q, h)`.
        k: `(B, H, K, h)`.
        v: `(B, H, K, h)`.
        bias: `(H, Q, K)`, the same for every example.
        padding: `(B, 1, 1, K)` or none.
        scale: Factor on the products.

    Returns:
        `(B, H, Q, h)`, in memory `(B, Q, H, h)`.
    """
    with torch.autocast(q.device.type, enabled=False):
        return _BiasedAttention.apply(q, k, v, bias, padding, scale)


class _NormLinear(torch.autograd.Function):
    """linear(function(x)), keeping x instead of what `function` gives."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, function: Callable[..., Tensor], *parameters: Tensor
    ) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(x, weight, *parameters)
        y = function(x, *parameters)
        return F.linear(y, weight.to(y.dtype), bias.to(y.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *parameters = ctx.saved_tensors
        inputs = [t.detach().requires_grad_() for t in (x, *parameters)]
        with torch.enable_grad():
            y = ctx.function(*inputs)
        flat, states = grad.flatten(0, -2), y.detach().flatten(0, -2)
        dweight = (flat.t() @ states).to(weight.dtype)
        dx, *rest = torch.autograd.grad(y, inputs, grad @ weight.to(grad.dtype))
        return dx, dweight, flat.sum(0, dtype=weight.dtype), None, *rest


def norm_linear(
    x: Tensor, function: Callable[..., Tensor], parameters: tuple[Tensor, ...], weight: Tensor, bias: Tensor
) -> Tensor:
    """linear(function(x, *parameters)) where `function` is elementwise or a norm and is computed twice.

    Args:
        x: `(..., f)`.
        function: Cheap and without randomness.
        parameters: What else it learns from.
        weight: `(d, f)`.
        bias: `(d,)`.

    Returns:
        `(..., d)`.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _NormLinear.apply(x, weight, bias, function, *parameters)


def _batch_norm(z: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    return torch.native_batch_norm(z, weight, bias, None, None, True, 0.0, eps)


def _norm_gradient(grad: Tensor, z: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, eps: float) -> list[Tensor]:
    backward = torch.ops.aten.native_batch_norm_backward
    return backward(grad, z, weight, None, None, mean, scale, True, eps, [True, True, True])


def _convolution_gradient(grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    arguments = [0], [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1
    dx, dweight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight.to(x.dtype), *arguments, [True, weight.requires_grad, False]
    )
    return dx, None if dweight is None else dweight.to(weight.dtype)


class _NormReluConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, gain: Tensor, shift: Tensor, weight: Tensor, stride: int, eps: float) -> Tensor:
        y, mean, scale = _batch_norm(z, gain, shift, eps)
        ctx.save_for_backward(z, gain, shift, weight, mean, scale)
        ctx.settings = stride, weight.shape[-1] // 2, eps
        ctx.mark_non_differentiable(mean, scale)
        return F.conv2d(y.relu_(), weight.to(y.dtype), None, stride, weight.shape[-1] // 2), mean, scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        z, gain, shift, weight, mean, scale = ctx.saved_tensors
        stride, padding, eps = ctx.settings
        active = _batch_norm(z, gain, shift, eps)[0].relu_()
        dactive, dweight = _convolution_gradient(grad, active, weight, stride, padding)
        dnormal = torch.ops.aten.threshold_backward(dactive, active, 0)
        return *_norm_gradient(dnormal, z, gain, mean, scale, eps), dweight, None, None


def norm_relu_convolution(
    z: Tensor, gain: Tensor, shift: Tensor, weight: Tensor, stride: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """conv(relu(batch_norm(z))) with the batch's own statistics, keeping z alone.

    Args:
        z: `(B, C, H, W)`, what the convolution before gave.
        gain: `(C,)` of the norm.
        shift: `(C,)` of the norm.
        weight: `(D, C, k, k)`; padded so that stride 1 keeps the size.
        stride: Of the convolution.
        eps: Of the norm.

    Returns:
        `(B, D, H', W')`, and the batch's mean and inverse standard deviation, `(C,)` each.
    """
    with torch.autocast(z.device.type, enabled=False):
        return _NormReluConvolution.apply(z, gain, shift, weight, stride, eps)


class _FinishBottleneck(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        shortcut: Tensor,
        gain: Tensor,
        shift: Tensor,
        weight: Tensor,
        last_gain: Tensor,
        last_shift: Tensor,
        eps: float,
    ) -> tuple[Tensor, ...]:
        y, mean, scale = _batch_norm(z, gain, shift, eps)
        y, last_mean, last_scale = _batch_norm(F.conv2d(y.relu_(), weight.to(y.dtype)), last_gain, last_shift, eps)
        out = y.add_(shortcut).relu_()
        ctx.save_for_backward(z, out, gain, shift, weight, last_gain, last_shift, mean, scale, last_mean, last_scale)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, scale, last_mean, last_scale)
        return out, mean, scale, last_mean, last_scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        z, out, gain, shift, weight, last_gain, _, mean, scale, last_mean, last_scale = ctx.saved_tensors
        dsum = torch.ops.aten.threshold_backward(grad, out, 0)
        active = _batch_norm(z, gain, shift, ctx.eps)[0].relu_()
        last = F.conv2d(active, weight.to(active.dtype))
        dlast, dlast_gain, dlast_shift = _norm_gradient(dsum, last, last_gain, last_mean, last_scale, ctx.eps)
        dactive, dweight = _convolution_gradient(dlast, active, weight, 1, 0)
        dnormal = torch.ops.aten.threshold_backward(dactive, active, 0)
        dz, dgain, dshift = _norm_gradient(dnormal, z, gain, mean, scale, ctx.eps)
        return dz, dsum, dgain, dshift, dweight, dlast_gain, dlast_shift, None


def finish_bottleneck(
    z: Tensor,
    shortcut: Tensor,
    norm: tuple[Tensor, Tensor],
    weight: Tensor,
    last_norm: tuple[Tensor, Tensor],
    eps: float,
) -> tuple[Tensor, ...]:
    """relu(batch_norm(conv(relu(batch_norm(z)))) + shortcut), keeping z and the result; the convolution runs twice.

    Args:
        z: `(B, C, H, W)`.
        shortcut: `(B, D, H, W)`.
        norm: Gain and shift `(C,)` of the norm on z.
        weight: `(D, C, 1, 1)`.
        last_norm: Gain and shift `(D,)` of the norm on the convolution.
        eps: Of both norms.

    Returns:
        `(B, D, H, W)`, and mean and inverse standard deviation of both norms.
    """
    with torch.autocast(z.device.type, enabled=False):
        return _FinishBottleneck.apply(z, shortcut, *norm, weight, *last_norm, eps)


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(*inputs)
        return function(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[1:]
        inputs = [t.detach().requires_grad_(need) for t, need in zip(ctx.saved_tensors, needed, strict=True)]
        with torch.enable_grad():
            out = ctx.function(*inputs)
        found = iter(torch.autograd.grad(out, [t for t in inputs if t.requires_grad], grad))
        return None, *(next(found) if need else None for need in needed)


def recomputed(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """function(*inputs), keeping the inputs alone.

    Args:
        function: Without randomness and without side effects.
        *inputs: All tensors that it learns from.
    """
    with torch.autocast(inputs[0].device.type, enabled=False):
        return _Recomputed.apply(function, *inputs)

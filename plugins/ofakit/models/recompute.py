"""Operations that keep little for the backward pass and recompute the rest where that is cheap.

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

from ofakit.models.onednn import linear, product

__all__ = ["biased_attention", "convolve", "finish_bottleneck", "norm_linear", "norm_relu_convolution", "recomputed"]


HALF = 2
"""Bytes of a number in half precision."""

SCORES_AT_ONCE = 2**21
"""Attention scores that are held at once: about what fits in a cache."""


def _parts(q: Tensor, k: Tensor) -> list[slice]:
    """Examples whose scores are computed together."""
    step = max(1, SCORES_AT_ONCE // max(1, q.shape[1] * q.shape[2] * k.shape[2]))
    return [slice(start, start + step) for start in range(0, len(q), step)]


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class _BiasedAttention(torch.autograd.Function):
    """Attention, a few examples at a time so that their scores stay in the cache; keeps queries, keys and values."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, bias: Tensor, padding: Tensor | None, scale: float
    ) -> Tensor:
        bias = bias.to(q.dtype)
        ctx.save_for_backward(q, k, v, bias, padding)
        ctx.scale = scale
        attention = F.scaled_dot_product_attention
        if padding is None:
            return attention(q, k, v, attn_mask=bias[None].expand(len(q), -1, -1, -1), scale=scale)
        masks = ((p, bias + padding[p].to(q.dtype)) for p in _parts(q, k))
        return _joined([attention(q[p], k[p], v[p], attn_mask=mask, scale=scale) for p, mask in masks])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, bias, padding = ctx.saved_tensors
        wide = torch.promote_types(bias.dtype, torch.float32)
        dbias = torch.zeros(bias.shape, dtype=wide)
        gradients: list[list[Tensor]] = [[], [], []]
        for p in _parts(q, k):
            weights = torch.matmul(q[p], k[p].transpose(-1, -2)).to(wide).mul_(ctx.scale).add_(bias)
            weights = (weights if padding is None else weights.add_(padding[p])).softmax(-1)
            dscores = torch.matmul(grad[p], v[p].transpose(-1, -2)).to(wide)
            dscores = torch.ops.aten._softmax_backward_data(dscores, weights, -1, wide)
            dbias += dscores.sum(0)
            dscores = dscores.mul_(ctx.scale).to(q.dtype)
            gradients[0].append(torch.matmul(dscores, k[p]))
            gradients[1].append(torch.matmul(dscores.transpose(-1, -2), q[p]))
            gradients[2].append(torch.matmul(weights.to(v.dtype).transpose(-1, -2), grad[p]))
        return *(_joined(parts) for parts in gradients), dbias, None, None


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
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, function: Callable[..., Tensor], *parameters: Tensor
    ) -> Tensor:
        ctx.function = function
        ctx.save_for_backward(x, weight, *parameters)
        y = function(x, *parameters)
        return linear(y, weight.to(y.dtype), None if bias is None else bias.to(y.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, *parameters = ctx.saved_tensors
        inputs = [t.detach().requires_grad_() for t in (x, *parameters)]
        with torch.enable_grad():
            y = ctx.function(*inputs)
        flat, states = grad.flatten(0, -2), y.detach().flatten(0, -2)
        _, weight_learns, bias_learns, *_ = ctx.needs_input_grad
        dweight = product(flat.t(), states).to(weight.dtype) if weight_learns else None
        dx, *rest = torch.autograd.grad(y, inputs, product(flat, weight.to(grad.dtype)).view(y.shape))
        return dx, dweight, flat.sum(0, dtype=weight.dtype) if bias_learns else None, None, *rest


def norm_linear(
    x: Tensor, function: Callable[..., Tensor], parameters: tuple[Tensor, ...], weight: Tensor, bias: Tensor | None
) -> Tensor:
    """linear(function(x, *parameters)) where `function` is elementwise or a norm and is computed twice.

    Args:
        x: `(..., f)`.
        function: Cheap and without randomness.
        parameters: What else it learns from.
        weight: `(d, f)`.
        bias: `(d,)`, or none.

    Returns:
        `(..., d)`.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _NormLinear.apply(x, weight, bias, function, *parameters)


def _batch_norm(z: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    return torch.native_batch_norm(z, weight, bias, None, None, True, 0.0, eps)


def _normalized(z: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, scale: Tensor, eps: float) -> Tensor:
    """What `_batch_norm` gave, from the mean and the inverse standard deviation that it gave with it."""
    return torch.native_batch_norm(z, weight, bias, mean, scale.pow(-2).sub_(eps), False, 0.0, eps)[0]


def _norm_gradient(grad: Tensor, z: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, eps: float) -> list[Tensor]:
    backward = torch.ops.aten.native_batch_norm_backward
    return backward(grad, z, weight, None, None, mean, scale, True, eps, [True, True, True])


class _Subsampled(torch.autograd.Function):
    """Every `stride`-th row and column in the channels-last layout, which the gradient has as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int) -> Tensor:
        ctx.shape, ctx.stride = x.shape, stride
        return x[:, :, ::stride, ::stride].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        dx = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last).zero_()
        dx[:, :, :: ctx.stride, :: ctx.stride] = grad
        return dx, None


def convolve(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """A convolution without bias, padded so that stride 1 keeps the size.

    One of 1 x 1 is a matrix product where that is fast.

    Args:
        x: `(B, C, H, W)`; a matrix product needs the channels-last layout.
        weight: `(D, C, k, k)`, in any type.
        stride: Of the convolution.

    Returns:
        `(B, D, H', W')` in the type and layout of x.
    """
    weight = weight.to(x.dtype)
    if not _is_product(x, weight):
        return F.conv2d(x, weight, None, stride, weight.shape[-1] // 2)
    if stride > 1:
        x = _Subsampled.apply(x, stride)
    return linear(x.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)


def _is_product(x: Tensor, weight: Tensor) -> bool:
    return weight.shape[-1] == 1 and x.is_contiguous(memory_format=torch.channels_last)


def _convolution_gradient(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int
) -> tuple[Tensor, Tensor | None]:
    if _is_product(x, weight):
        rows, states = grad.permute(0, 2, 3, 1).flatten(0, 2), x.permute(0, 2, 3, 1)
        dx = product(rows, weight.to(x.dtype).flatten(1)).view(states.shape).permute(0, 3, 1, 2)
        return dx, product(rows.t(), states.flatten(0, 2)).view(weight.shape).to(weight.dtype)
    arguments = [0], [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1
    dx, dweight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight.to(x.dtype), *arguments, [True, weight.requires_grad, False]
    )
    return dx, None if dweight is None else dweight.to(weight.dtype)


class _NormReluConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, gain: Tensor, shift: Tensor, weight: Tensor, stride: int, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, scale = _batch_norm(z, gain, shift, eps)
        ctx.save_for_backward(z, gain, shift, weight, mean, scale)
        ctx.settings = stride, weight.shape[-1] // 2, eps
        ctx.mark_non_differentiable(mean, scale)
        return convolve(y.relu_(), weight, stride), mean, scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        z, gain, shift, weight, mean, scale = ctx.saved_tensors
        stride, padding, eps = ctx.settings
        active = _normalized(z, gain, shift, mean, scale, eps).relu_()
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
        last = convolve(y.relu_(), weight)
        y, last_mean, last_scale = _batch_norm(last, last_gain, last_shift, eps)
        out = y.add_(shortcut).relu_()
        kept = last if last.element_size() <= HALF else None
        ctx.save_for_backward(z, kept, out, gain, shift, weight, last_gain, mean, scale, last_mean, last_scale)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, scale, last_mean, last_scale)
        return out, mean, scale, last_mean, last_scale

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        z, last, out, gain, shift, weight, last_gain, mean, scale, last_mean, last_scale = ctx.saved_tensors
        dsum = torch.ops.aten.threshold_backward(grad, out, 0)
        active = _normalized(z, gain, shift, mean, scale, ctx.eps).relu_()
        last = convolve(active, weight) if last is None else last
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
    """relu(batch_norm(conv(relu(batch_norm(z)))) + shortcut), keeping z and the result.

    What the convolution gives is kept in half precision; in others, where it is twice as large, it is computed again.

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

"""The arithmetic of a forward pass: fp32, or bf16 or fp16 matrix products under autocast.

with autocast(device, "bf16"):
    loss, logs = objective(model, batch, normalizer, step)
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch

from ofakit.errors import UsageError, did_you_mean

__all__ = ["PRECISIONS", "autocast", "compute_dtype", "dtype_named"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What matrix products compute in, by name; weights, sums and norms stay fp32."""


def autocast(device: torch.device | str, precision: str) -> AbstractContextManager:
    """A context in which matrix products and convolutions compute in `precision`.

    In fp16 small gradients vanish: scale the loss with `torch.amp.GradScaler`.

    Args:
        device: Where the model is.
        precision: `fp32`, `bf16` or `fp16`.

    Raises:
        UsageError: There is no such precision, or the GPU or its system has no bf16.
    """
    dtype = dtype_named(precision)
    kind = torch.device(device).type
    if precision == "fp32":
        return contextlib.nullcontext()
    if precision == "bf16" and kind == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError(f"{torch.cuda.get_device_name()} does not support bf16; choose precision fp16 or fp32")
    if precision == "bf16" and kind == "mps" and not torch.backends.mps.is_macos_or_newer(14, 0):
        raise UsageError("bf16 on the device mps needs macOS 14; choose precision fp16 or fp32")
    return torch.autocast(kind, dtype)


def dtype_named(precision: str) -> torch.dtype:
    """The type of a precision.

    Args:
        precision: `fp32`, `bf16` or `fp16`.

    Raises:
        UsageError: There is no such precision.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}: {did_you_mean(precision, PRECISIONS)}")
    return PRECISIONS[precision]


def compute_dtype(states: torch.Tensor) -> torch.dtype:
    """The type that a product with these states is computed in: autocast's where that is on, else their own.

    Args:
        states: Or weights.
    """
    kind = states.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype

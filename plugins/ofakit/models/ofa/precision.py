"""The arithmetic of a forward pass: fp32, or bf16 or fp16 matrix products under autocast.

with autocast(device, "bf16"):
    loss, logs = objective(model, batch, normalizer, step)
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch

from ofakit.errors import UsageError, did_you_mean

__all__ = ["PRECISIONS", "autocast"]

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What matrix products compute in, by name; weights, sums and norms stay fp32."""


def autocast(device: torch.device | str, precision: str) -> AbstractContextManager:
    """A context in which matrix products and convolutions compute in `precision`.

    In fp16 small gradients vanish: scale the loss with `torch.amp.GradScaler`.

    Args:
        device: Where the model is.
        precision: `fp32`, `bf16` or `fp16`.

    Raises:
        UsageError: There is no such precision, or the GPU has no bf16.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}: {did_you_mean(precision, PRECISIONS)}")
    kind = torch.device(device).type
    if precision == "fp32":
        return contextlib.nullcontext()
    if precision == "bf16" and kind == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError(f"{torch.cuda.get_device_name()} has no bf16; choose precision fp16 or fp32")
    return torch.autocast(kind, PRECISIONS[precision])

"""Linear layers that only compute, their weights laid out for the processor.

On a CPU they keep their weights in oneDNN's own layout and apply GELU while they write; the operators are those that
PyTorch's compiler emits (`torch.ops.mkldnn`), and where a build of PyTorch lacks them the plain ones stay.
`prepare_for_inference` of a model does it to a copy.
"""

from __future__ import annotations

from collections.abc import Container

import torch
from torch import Tensor, nn

from ofakit.models.adapters.linear import Adapted, AdaptedLinear
from ofakit.models.onednn import onednn_is_faster

__all__ = ["PackedLinear", "pack_linear_layers", "packs"]

PACKED = (torch.float32, torch.bfloat16)  # what oneDNN computes fast on CPUs of today
BEAM_ROWS = 40  # rows that weights are packed for: 8 images of 5 beams; others run as well
SMALL_FP32 = 2**20  # fp32 weights with fewer elements are not faster packed where MKL is as fast as oneDNN


def packs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether linear layers are faster packed.

    Args:
        device: Where they are.
        dtype: What they compute in.
    """
    return device.type == "cpu" and dtype in PACKED and _operator_works(dtype)


class PackedLinear(nn.Module):
    """A linear layer whose weight lies in oneDNN's layout, with GELU on request.

    Args:
        weight: `(out, in)`.
        bias: `(out,)`, or none.
        gelu: Apply GELU.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), BEAM_ROWS)
        self.bias = bias
        self.after = ("gelu", "none") if gelu else ("none", "")

    def forward(self, x: Tensor) -> Tensor:
        """Project, `(..., in) -> (..., out)`.

        Args:
            x: Of the weight's type.
        """
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, self.after[0], [], self.after[1])


def pack_linear_layers(half: nn.Module, leave: Container[nn.Module] = ()) -> None:
    """Pack the linear layers that are worth it; GELU goes into the `fc1` of a layer that has it as its `activation`.

    Args:
        half: Encoder or decoder, cast; changed in place.
        leave: Layers, and modules with layers, that stay as they are.
    """
    for module in [module for module in half.modules() if module not in leave]:
        if getattr(module, "activation", None) is nn.functional.gelu and isinstance(module.fc1, nn.Linear):
            _pack_feed_forward(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and child not in leave and _worth(child.weight):
                packed = PackedLinear(child.weight.detach(), _bias(child))
                setattr(module, name, Adapted(packed, child.adapter) if isinstance(child, AdaptedLinear) else packed)


def _pack_feed_forward(layer: nn.Module) -> None:
    """Let fc1 apply GELU.

    Args:
        layer: Changed in place.
    """
    fc1 = layer.fc1
    if isinstance(fc1, nn.Linear) and not isinstance(fc1, AdaptedLinear) and _worth(fc1.weight):
        layer.add_module("fc1", PackedLinear(fc1.weight.detach(), _bias(fc1), gelu=True))
        layer.activation = nn.Identity()


def _operator_works(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch has the fused operator for a type, and it gives what the plain one gives.

    Args:
        dtype: The type to compute in.
    """
    x = torch.randn((2, 8, 16), generator=torch.Generator().manual_seed(0)).to(dtype)
    linear = nn.Linear(16, 16).to(dtype)
    try:
        found = PackedLinear(linear.weight, linear.bias, gelu=True)(x)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, nn.functional.gelu(linear(x)), atol=0.05)


def _bias(linear: nn.Linear) -> Tensor | None:
    return None if linear.bias is None else linear.bias.detach()


def _worth(weight: Tensor) -> bool:
    return weight.dtype != torch.float32 or weight.numel() >= SMALL_FP32 or onednn_is_faster()

"""Tensors of which each process has some rows, as divided by FSDP2: the part of this process, and the whole tensor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

__all__ = ["like", "own_part", "whole"]


def own_part(tensor: Tensor) -> Tensor:
    """The part of a tensor that this process has; all of it if the tensor is not divided.

    Args:
        tensor: A tensor, divided or not.
    """
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor; if it is divided, every process must call this.

    Args:
        tensor: A tensor, divided or not.
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor divided in the same way as another; nothing is exchanged.

    Args:
        tensor: A tensor that is the same on every process.
        other: A tensor of the same shape.
    """
    if not isinstance(other, DTensor):
        return tensor
    mesh = other.device_mesh
    rows = -(-len(tensor) // mesh.size())
    first = min(mesh.get_local_rank() * rows, len(tensor))
    part = tensor[first : first + rows].to(other.device, copy=True).contiguous()
    return DTensor.from_local(
        part, mesh, other.placements, run_check=False, shape=torch.Size(other.shape), stride=other.stride()
    )

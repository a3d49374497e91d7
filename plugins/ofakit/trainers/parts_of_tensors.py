"""Tensors of which each process has some rows, as FSDP2 divides them: what is here, and the whole."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

__all__ = ["like", "own_part", "whole"]


def own_part(tensor: Tensor) -> Tensor:
    """What this process has of a tensor; all of it, where it is not divided.

    Args:
        tensor: Divided or not.
    """
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor; every process must ask for one that is divided.

    Args:
        tensor: Divided or not.
    """
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor divided as another is; nothing is exchanged.

    Args:
        tensor: The same on every process.
        other: Of the same shape.
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

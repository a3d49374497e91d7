"""Tensors of one example for people to read: ids with the pieces they stand for, and the shapes of everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

__all__ = ["image_name", "shown_ids", "shown_tensors"]

Pieces = Callable[[Sequence[int]], Sequence[str | None]]
"""From ids to the tokens that they stand for."""


def shown_ids(ids: torch.Tensor, pieces: Pieces) -> list[list[Any]]:
    """Each id beside its piece.

    Args:
        ids: (T,) whole numbers.
        pieces: Gives the tokens of ids.

    >>> shown_ids(torch.tensor([0, 2]), lambda ids: [f"<{number}>" for number in ids])
    [[0, '<0>'], [2, '<2>']]
    """
    numbers = ids.tolist()
    return [[number, piece] for number, piece in zip(numbers, pieces(numbers), strict=True)]


def shown_tensors(sample: Mapping[str, Any], pieces: Pieces | None = None) -> dict[str, Any]:
    """Every tensor of a sample: ids with their pieces where there are such, else the shape.

    Args:
        sample: What a preprocessor made; what is not a tensor is left out.
        pieces: Gives the tokens of ids, which are the tensors of one dimension and whole numbers; None: there are none.

    >>> shown_tensors({"image": torch.zeros(3, 8, 8), "index": 0})
    {'image': 'float32 (3, 8, 8)'}
    """
    shown: dict[str, Any] = {}
    for name, value in sample.items():
        if isinstance(value, torch.Tensor):
            are_ids = pieces is not None and value.dim() == 1 and value.dtype == torch.int64
            shape = f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
            shown[name] = shown_ids(value, pieces) if are_ids and pieces else shape
    return shown


def image_name(image: Any, path: str | None) -> str | None:
    """What an image is called: its path, "in memory", or None if there is none.

    Args:
        image: Of an example, a query or a passage.
        path: Its path, where it has one.
    """
    return path if path is not None or image is None else "in memory"

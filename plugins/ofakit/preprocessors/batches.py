"""A batch on its way to the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ofakit.preprocessors.image import normalize, to_device

__all__ = ["move_batch"]


def move_batch(batch: Mapping[str, Any], device: torch.device | str, mean_std: str | None = "half") -> dict[str, Any]:
    """A batch on the device, its images as normalised floats.

    Args:
        batch: As made by a collator, with images or without; dicts in it are moved with what they hold.
        device: Where the model is.
        mean_std: "half" or "imagenet"; None: the model normalises by itself, and images stay bytes.
    """
    moved = {name: _moved(value, device) for name, value in batch.items() if name != "patch_images"}
    images = batch.get("patch_images")
    if images is not None:
        moved["patch_images"] = (
            _moved(images, device) if mean_std is None else normalize(images, mean_std, device=device)
        )
    return moved


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Mapping):
        return {name: _moved(inner, device) for name, inner in value.items()}
    return to_device(value, device) if isinstance(value, torch.Tensor) else value

"""Images as the model reads them: cropped as bytes by the loading processes, normalised on the model's device.

Source of the numbers: OFA-Sys/OFA `data/mm_data/example_dataset.py` (mean and std 0.5, or ImageNet's).
"""

from __future__ import annotations

import numpy as np
import torch

from ofakit.errors import UsageError, did_you_mean
from ofakit.models.ofa.vision import SMALL_IMAGE
from ofakit.models.pixels import MEAN_STD

__all__ = ["MEAN_STD", "crop_and_flip", "normalize", "to_device"]

PLACES = ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2), (0, 1), (1, 0), (1, 2), (2, 1))
"""Cuts of an image, in halves of the room that there is downwards and to the right."""


def crop_and_flip(
    pixels: np.ndarray,
    size: int,
    rng: np.random.Generator | None = None,
    flip: bool = False,
    crops: int | None = None,
) -> torch.Tensor:
    """Cut a square out of an image.

    Args:
        pixels: (H, W, 3) uint8, H and W at least `size`.
        size: Pixels a side of the cut.
        rng: Chooses where to cut, and whether to flip; None cuts the centre.
        flip: Mirror every second image, left to right; needs `rng`.
        crops: Among how many cuts `rng` chooses: the centre, the corners, the middles of the sides; None: any.

    Returns:
        (3, size, size) uint8, a view of a (size, size, 3) copy: reordering the colours is left to the device.

    Raises:
        UsageError: The image is smaller than the cut.
    """
    height, width = pixels.shape[:2]
    if height < size or width < size:
        raise UsageError(f"cannot crop {size} x {size} pixels from an image of {width} x {height}")
    tall, wide = height - size, width - size
    if rng is None:
        top, left = tall // 2, wide // 2
    elif crops is None:
        top, left = int(rng.integers(tall + 1)), int(rng.integers(wide + 1))
    else:
        down, right = PLACES[int(rng.integers(crops))]
        top, left = tall * down // 2, wide * right // 2
    cut = pixels[top : top + size, left : left + size]
    mirror = flip and rng is not None and rng.random() < 0.5
    return torch.from_numpy(_mirrored(cut) if mirror else cut.copy()).permute(2, 0, 1)


def normalize(
    patch_images: torch.Tensor,
    mean_std: str = "half",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> torch.Tensor:
    """Turn bytes into the numbers the model was trained on: (x / 255 - mean) / std.

    Args:
        patch_images: (B, 3, H, W) uint8. A float tensor counts as normalised already and is only moved.
        mean_std: "half" or "imagenet".
        dtype: Of the result; the arithmetic is fp32, equal to torchvision's ToTensor and Normalize to the last bit.
        device: Where the result goes; the bytes are moved, not the floats.

    Returns:
        (B, 3, H, W), in the memory layout in which the model takes images of that size: plain up to `SMALL_IMAGE`
        pixels a side, channels last above. The bytes of a batch lie channels last, so large ones are not reordered.

    Raises:
        UsageError: There are no such mean and std.

    >>> normalize(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2))[0, 0].tolist()
    [[-1.0, 1.0]]
    """
    if mean_std not in MEAN_STD:
        raise UsageError(f"unknown mean_std {mean_std!r}: {did_you_mean(str(mean_std), MEAN_STD)}")
    moved = patch_images if device is None else to_device(patch_images, device)
    if moved.is_floating_point():
        return moved.to(dtype)
    if max(moved.shape[-2:]) <= SMALL_IMAGE:
        return _normalized(moved.contiguous(), mean_std, (3, 1, 1)).to(dtype)
    # A row of pixels, colours interleaved, is one run of numbers; (…, 3) alone would be too short to be fast.
    rows = moved.permute(0, 2, 3, 1).flatten(2)
    pixels = _normalized(rows, mean_std, (-1,)).to(dtype).unflatten(2, (-1, 3))
    return pixels.permute(0, 3, 1, 2)


def to_device(tensor: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """A tensor on a device; the CPU waits for the copy, unless pinned memory and CUDA's streams make that needless.

    Args:
        tensor: Anywhere.
        device: Where to.
    """
    return tensor.to(device, non_blocking=torch.device(device).type == "cuda")


def _mirrored(cut: np.ndarray) -> np.ndarray:
    """A copy, left to right: pixels are moved whole, which takes half as long as moving their colours one by one."""
    return cut.view("V3")[:, ::-1].copy().view(np.uint8)


def _normalized(values: torch.Tensor, mean_std: str, shape: tuple[int, ...]) -> torch.Tensor:
    """(values / 255 - mean) / std as fp32, mean and std repeated to the last dimension and viewed as `shape`."""
    floats = values.to(torch.float32)
    if mean_std == "half":
        # Doubling is exact in floating point, so this is (x / 255 - 0.5) / 0.5 to the last bit, in fewer passes.
        return floats.div_(127.5).sub_(1)
    repeats = values.shape[-1] // 3 if shape == (-1,) else 1
    mean, std = (torch.tensor(value, device=values.device).repeat(repeats).view(shape) for value in MEAN_STD[mean_std])
    return floats.div_(255).sub_(mean).div_(std)

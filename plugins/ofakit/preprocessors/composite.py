"""A flat emblem becomes a photograph of it: waved, rotated, shaded, and placed on a background.

For retrieval from a photograph of something flat (a flag, a logo, a cover, a banknote) to its reference image. Every
training pair is made afresh from the reference image, so a few emblems last for any number of steps.

    {"augmentation": {"width": [0.4, 1.0], "aspect": [0.55, 0.8], "max_degrees": 14, "wave": [0.0, 0.12]}}

Lengths are shares of the canvas's side unless said otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch.nn import functional as F

from ofakit.errors import UsageError

__all__ = ["Composite", "Placement", "change_tone", "lay_over", "placement_grid"]

GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Placement:
    """Where an emblem lies on the canvas, and how it is bent.

    Attributes:
        width: Of the emblem before it is turned and bent.
        height: The same.
        center: Its (x, y).
        radians: By which it is turned, clockwise on the screen.
        slope: Rise from the left edge to the right one, in heights.
        wave: Amplitude of the wave that runs through it from left to right, in heights.
        periods: Of that wave over the width.
        phase: Of that wave, radians.
        shade: How much light and shade follow the wave, 0 none.
        rim: Width of the darkened border inside the emblem.
        rim_light: What the border keeps of its light, 0..1.
    """

    width: float
    height: float
    center: tuple[float, float] = (0.5, 0.5)
    radians: float = 0.0
    slope: float = 0.0
    wave: float = 0.0
    periods: float = 1.0
    phase: float = 0.0
    shade: float = 0.0
    rim: float = 0.0
    rim_light: float = 1.0


def placement_grid(placement: Placement, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which point of the emblem every pixel of the canvas shows.

    With u and v the pixel's place in the emblem's turned frame, -0.5..0.5 inside:
    v' = v + slope u + wave sin(2 pi periods u + phase).

    Args:
        placement: Where the emblem lies.
        size: Pixels a side of the canvas.

    Returns:
        (size, size, 2) float32, (x, y) in -1..1 inside the emblem, as `torch.nn.functional.grid_sample` takes them;
        (size, size) float32 opacity, 0..1, whose edge is a pixel soft; (size, size) float32 light.
    """
    line = (torch.arange(size) + 0.5) / size
    x, y = line[None, :] - placement.center[0], line[:, None] - placement.center[1]
    cosine, sine = math.cos(placement.radians), math.sin(placement.radians)
    u = (x * cosine + y * sine) / placement.width
    v = (y * cosine - x * sine) / placement.height
    angle = 2 * math.pi * placement.periods * u + placement.phase
    v = v + placement.slope * u + placement.wave * torch.sin(angle)
    to_edge = torch.minimum((0.5 - u.abs()) * placement.width, (0.5 - v.abs()) * placement.height)
    opacity = (to_edge * size + 0.5).clamp_(0, 1)
    light = 1 + placement.shade * torch.cos(angle)
    light = torch.where(to_edge < placement.rim, light * placement.rim_light, light)
    return torch.stack((2 * u, 2 * v), dim=-1), opacity, light


def lay_over(emblem: np.ndarray, background: np.ndarray, placement: Placement) -> np.ndarray:
    """Show a placed emblem in front of a background.

    Args:
        emblem: (h, w, 3) uint8 or float32 in 0..255.
        background: (size, size, 3) uint8.
        placement: Where the emblem lies.

    Returns:
        (size, size, 3) uint8.

    Raises:
        UsageError: The background is not a square.

    >>> black, white = np.zeros((4, 6, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    >>> lay_over(black, white, Placement(width=0.5, height=0.5))[..., 0].mean(dtype=int)
    np.int64(191)
    """
    if background.ndim != 3 or background.shape[0] != background.shape[1]:
        raise UsageError(f"expected a square background (size, size, 3), found {background.shape}: crop it to a square")
    grid, opacity, light = placement_grid(placement, len(background))
    source = torch.tensor(emblem, dtype=torch.float32).permute(2, 0, 1)[None]
    shown = F.grid_sample(source, grid[None], align_corners=False, padding_mode="border")[0]
    shown = (shown * light).clamp_(0, 255)
    behind = torch.tensor(background, dtype=torch.float32).permute(2, 0, 1)
    joined = torch.lerp(behind, shown, opacity)
    return joined.round_().to(torch.uint8).permute(1, 2, 0).numpy()


def change_tone(pixels: np.ndarray, saturation: float, contrast: float, brightness: float) -> np.ndarray:
    """Photograph colours under another light: saturation around grey, contrast around the middle, then brightness.

    Args:
        pixels: (h, w, 3), 0..255.
        saturation: 0 makes grey, 1 changes nothing.
        contrast: 1 changes nothing.
        brightness: 1 changes nothing.

    Returns:
        (h, w, 3) float32 in 0..255.

    >>> change_tone(np.array([[[0, 128, 255]]], np.uint8), 1.0, 1.0, 0.5).tolist()
    [[[0.0, 64.0, 127.5]]]
    """
    floats = pixels.astype(np.float32)
    grey = (floats @ GREY)[..., None]
    floats = grey + (floats - grey) * np.float32(saturation)
    return np.clip(((floats - 128) * np.float32(contrast) + 128) * np.float32(brightness), 0, 255)


@dataclass(frozen=True)
class Composite:
    """Make photographs of emblems, each different; picklable. Pairs are ranges to draw from evenly.

    Args:
        width: Of the emblem.
        aspect: Its height over its width.
        max_degrees: By which it is turned, either way.
        max_slope: Rise from left to right, in heights, either way.
        wave: Amplitude of its wave, in heights.
        periods: Of that wave over the width.
        max_shade: Light and shade along the wave.
        max_rim: Width of its darkened border.
        rim_light: What that border keeps of its light.
        overhang: How much of its width and height may leave the canvas.
        saturation: 1 changes nothing, as in the next two.
        contrast: Around the middle.
        brightness: Applied last.

    Raises:
        UsageError: A range is empty or negative.
    """

    width: tuple[float, float] = (0.4, 1.0)
    aspect: tuple[float, float] = (0.55, 0.8)
    max_degrees: float = 14.0
    max_slope: float = 0.25
    wave: tuple[float, float] = (0.0, 0.12)
    periods: tuple[float, float] = (0.4, 1.3)
    max_shade: float = 0.15
    max_rim: float = 0.05
    rim_light: tuple[float, float] = (0.6, 1.0)
    overhang: float = 0.05
    saturation: tuple[float, float] = (0.7, 1.15)
    contrast: tuple[float, float] = (0.75, 1.15)
    brightness: tuple[float, float] = (0.7, 1.15)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = value if isinstance(value, tuple | list) else (0.0, value)
            if not 0 <= low <= high:
                raise UsageError(f"expected 0 <= low <= high in {field.name}, found {value!r}")
        if self.width[0] == 0 or self.aspect[0] == 0:
            raise UsageError(f"expected an emblem of some size, found width {self.width!r} and aspect {self.aspect!r}")

    def __call__(self, emblem: np.ndarray, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One photograph.

        Args:
            emblem: (h, w, 3) uint8, flat and uncut; about as large as it will be shown, or it is undersampled.
            background: (size, size, 3) uint8.
            rng: Decides everything.

        Returns:
            (size, size, 3) uint8.

        Raises:
            UsageError: The background is not a square.
        """
        toned = change_tone(
            emblem, rng.uniform(*self.saturation), rng.uniform(*self.contrast), rng.uniform(*self.brightness)
        )
        return lay_over(toned, background, self.placement(rng))

    def placement(self, rng: np.random.Generator) -> Placement:
        """Choose where an emblem lies, and how it is bent.

        Args:
            rng: Decides everything.
        """
        width = rng.uniform(*self.width)
        height = width * rng.uniform(*self.aspect)
        spread = [max(0.0, (1 - side) / 2) + self.overhang * side for side in (width, height)]
        x, y = (0.5 + rng.uniform(-reach, reach) for reach in spread)
        return Placement(
            width=width,
            height=height,
            center=(x, y),
            radians=math.radians(rng.uniform(-self.max_degrees, self.max_degrees)),
            slope=rng.uniform(-self.max_slope, self.max_slope),
            wave=rng.uniform(*self.wave),
            periods=rng.uniform(*self.periods),
            phase=rng.uniform(0, 2 * math.pi),
            shade=rng.uniform(0, self.max_shade),
            rim=rng.uniform(0, self.max_rim),
            rim_light=rng.uniform(*self.rim_light),
        )

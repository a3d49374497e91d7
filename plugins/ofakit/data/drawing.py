"""Draw a scene, and say where its shapes are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ofakit.data.region_texts import RegionText
from ofakit.data.scene_captions import COUNTS, Scene

__all__ = ["draw_scene", "shapes_in"]

SUPERSAMPLING = 3
RGB = {
    "red": (214, 30, 34),
    "orange": (245, 135, 20),
    "yellow": (238, 214, 20),
    "green": (34, 150, 60),
    "blue": (32, 84, 214),
    "purple": (132, 44, 170),
    "black": (25, 25, 28),
}
# Lengths are shares of the canvas.
RADIUS = {"small": 0.065, "large": 0.105, None: 0.14}
CENTRE = {"left": -0.22, "right": 0.22, "top": -0.22, "bottom": 0.22}
LAYOUTS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0, 0),),
    2: ((-1, 0), (1, 0)),
    3: ((-1, 0.9), (1, 0.9), (0, -0.9)),
    4: ((-1, -1), (1, -1), (-1, 1), (1, 1)),
}


def draw_scene(scene: Scene, size: int, rng: np.random.Generator) -> Image.Image:
    """Draw a scene on a light canvas; exact place, size and rotation differ from image to image.

    Args:
        scene: What to draw.
        size: Pixels per side.
        rng: Decides everything that the scene leaves open.

    Returns:
        An RGB image of (size, size).
    """
    side = size * SUPERSAMPLING
    background, shapes = _laid_out(scene, rng)
    canvas = Image.new("RGB", (side, side), background)
    draw = ImageDraw.Draw(canvas)
    for it in shapes:
        _draw_shape(draw, it.shape, it.fill, (it.x * side, it.y * side), it.radius * side, it.turn)
    return canvas.reduce(SUPERSAMPLING)


def shapes_in(scene: Scene, rng: np.random.Generator) -> list[RegionText]:
    """What each shape of a drawing is, and its box.

    Args:
        scene: What was drawn.
        rng: As `draw_scene` was given it.

    >>> shapes_in(Scene("red", "star", "one", "small", "top left"), np.random.default_rng(0))[0].text
    'red star'
    """
    return [RegionText(f"{it.color} {it.shape}", _box(it)) for it in _laid_out(scene, rng)[1]]


class _Shape(NamedTuple):
    """One shape of a drawing, in shares of the canvas, y downwards, and radians."""

    shape: str
    color: str
    fill: tuple[int, ...]
    x: float
    y: float
    radius: float
    turn: float


def _laid_out(scene: Scene, rng: np.random.Generator) -> tuple[tuple[int, ...], list[_Shape]]:
    """The colour of the canvas, and the shapes."""
    background = tuple(int(v) for v in rng.integers(222, 256, 3))
    shapes = []
    for shape, color, x, y, radius in _things(scene, rng):
        fill = tuple(int(v) for v in np.clip(RGB[color] + rng.integers(-12, 13, 3), 0, 255))
        shapes.append(_Shape(shape, color, fill, x, y, radius, rng.uniform(-0.15, 0.15)))
    return background, shapes


def _box(it: _Shape) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of what is painted."""
    round_ones = [(-1.0, -1.0), (1.0, 1.0)]
    corners = np.array(round_ones if it.shape in ("circle", "ring") else _outline(it.shape, it.turn))
    (x1, y1), (x2, y2) = (
        np.clip(np.array([it.x, it.y]) + it.radius * edge, 0, 1) for edge in (corners.min(0), corners.max(0))
    )
    return float(x1), float(y1), float(x2), float(y2)


def _things(scene: Scene, rng: np.random.Generator) -> list[tuple[str, str, float, float, float]]:
    """(shape, colour, x, y, radius) of each, as shares of the canvas, y downwards."""
    radius = RADIUS[scene.size] * rng.uniform(0.92, 1.08)
    if scene.relation is not None:
        dx, dy = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}[scene.relation]
        reach, aside = rng.uniform(0.2, 0.27), rng.uniform(-0.07, 0.07)
        x, y = 0.5 + rng.uniform(-0.05, 0.05, 2)
        first = (x + dx * reach + dy * aside, y + dy * reach + dx * aside)
        second = (x - dx * reach - dy * aside, y - dy * reach - dx * aside)
        return [
            (scene.shape, scene.color, *first, radius),
            (str(scene.other_shape), str(scene.other_color), *second, radius),
        ]
    words = str(scene.place).split()
    x = 0.5 + sum(CENTRE[w] for w in words if w in ("left", "right")) + rng.uniform(-0.025, 0.025)
    y = 0.5 + sum(CENTRE[w] for w in words if w in ("top", "bottom")) + rng.uniform(-0.025, 0.025)
    step = radius * rng.uniform(1.08, 1.14)
    layout = LAYOUTS[COUNTS.index(str(scene.count)) + 1]
    if len(layout) == 2 and rng.random() < 0.5:
        layout = tuple((b, a) for a, b in layout)
    return [(scene.shape, scene.color, x + step * a, y + step * b, radius) for a, b in layout]


def _draw_shape(
    draw: ImageDraw.ImageDraw,
    shape: str,
    fill: tuple[int, ...],
    centre: tuple[float, float],
    radius: float,
    turn: float,
) -> None:
    x, y = centre
    if shape in ("circle", "ring"):
        box = (x - radius, y - radius, x + radius, y + radius)
        if shape == "circle":
            draw.ellipse(box, fill=fill)
        else:
            draw.ellipse(box, outline=fill, width=max(1, round(radius * 0.38)))
        return
    draw.polygon([(x + radius * a, y + radius * b) for a, b in _outline(shape, turn)], fill=fill)


def _outline(shape: str, turn: float) -> list[tuple[float, float]]:
    """Corners around the origin, at most 1 from it, turned by `turn` radians."""
    if shape == "square":
        corners: Sequence[tuple[float, float]] = [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
    elif shape == "triangle":
        corners = [(0, -1), (0.95, 0.8), (-0.95, 0.8)]
    elif shape == "star":
        corners = [_on_circle(k * math.pi / 5, 1.1 if k % 2 == 0 else 0.45) for k in range(10)]
    else:
        a = 0.3
        corners = [(-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a)]
        corners = [*corners, (-a, -a)]
    cos, sin = math.cos(turn), math.sin(turn)
    return [(cos * a - sin * b, sin * a + cos * b) for a, b in corners]


def _on_circle(angle: float, radius: float) -> tuple[float, float]:
    return radius * math.sin(angle), -radius * math.cos(angle)

"""How regions are named in texts: by VL-T5's tokens of their places in the image, or by OFA's bins of their corners.

    region_name(3)                                                # <vis_extra_id_3>
    [bin_name(n) for n in box_bins((0, 0.5, 0.25, 1), 512)]       # <bin_0> <bin_500> <bin_250> <bin_999>

Sources: j-min/VL-T5 a07d779 `VL-T5/src/pretrain_data.py`, `preprocess.py` (`ground_caption`, `refer_expression`);
OFA-Sys/OFA `data/pretrain_data/unify_dataset.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["OFA", "VL_T5", "Grounding", "bin_name", "box_bins", "region_name"]


class Grounding(NamedTuple):
    """What stands around a region that is to be described, and around a text whose region is to be named.

    Attributes:
        region: Before the region.
        text: Before the text, and behind it.
    """

    region: str
    text: tuple[str, str]


VL_T5 = Grounding("caption region:", ("visual grounding:", ""))
OFA = Grounding("  what does the region describe? region:", (' which region does the text "', ' " describe?'))


def region_name(number: int) -> str:
    """VL-T5's token of a region.

    Args:
        number: Its place in its image, from 0.
    """
    return f"<vis_extra_id_{number}>"


def bin_name(number: int) -> str:
    """OFA's token of a coordinate.

    Args:
        number: From 0.
    """
    return f"<bin_{number}>"


def box_bins(box: Sequence[float], side: int, bins: int = 1000, last: int = 512) -> list[int]:
    """A box as OFA reads and writes it: four coordinates in steps.

    Args:
        box: x1, y1, x2, y2 as fractions of the image.
        side: Pixels a side of the image as the model sees it.
        bins: How many steps there are.
        last: Which pixel is the last step.

    >>> box_bins((0.0, 0.5, 0.25, 1.0), side=256)
    [0, 250, 125, 500]
    """
    return [round(fraction * side / last * (bins - 1)) for fraction in box]

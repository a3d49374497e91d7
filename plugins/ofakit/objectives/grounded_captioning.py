"""Grounded captioning: the text about a part of an image, given the position of that part.

    {"type": "grounded_captioning", "weight": 1.0}

The source is `caption region: <vis_extra_id_3>` for a model that reads regions, and `  what does the region describe?
region: <bin_100> <bin_120> <bin_300> <bin_400>` for one that reads pixels; the target is the text. The readers `scenes`
and `jsonl`, with `regions_column`, provide such texts.
Sources: j-min/VL-T5 `VL-T5/src/pretrain_data.py`, OFA-Sys/OFA `data/pretrain_data/unify_dataset.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ofakit.objectives._grounding import GroundingObjective

__all__ = ["GroundedCaptioning"]


class GroundedCaptioning(GroundingObjective):
    """Cross entropy of a text about a region given the image and the region. It takes the arguments of its base."""

    name = "grounded_captioning"

    def asked(self, region: Sequence[int], text: Sequence[int]) -> dict[str, Tensor]:
        """The region as source, the text as target.

        Args:
            region: The ids that name it.
            text: The ids of the text.
        """
        return {"input_ids": self.codec.source(self.wording.region, region), **self.codec.target(text)}

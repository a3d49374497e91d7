"""Visual grounding: the position in an image of what a text describes.

    {"type": "visual_grounding", "weight": 1.0}

The source is `visual grounding: a red ball` for a model that reads regions, whose target is `<vis_extra_id_3>`, and
` which region does the text " a red ball " describe?` for one that reads pixels, whose target is the four bins of the
box. The readers `scenes` and `jsonl`, with `regions_column`, provide such texts.
Sources: j-min/VL-T5 `VL-T5/src/pretrain_data.py`, OFA-Sys/OFA `data/pretrain_data/unify_dataset.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ofakit.objectives._grounding import GroundingObjective

__all__ = ["VisualGrounding"]


class VisualGrounding(GroundingObjective):
    """Cross entropy of a region given the image and a text about it. It takes the arguments of its base."""

    name = "visual_grounding"

    def asked(self, region: Sequence[int], text: Sequence[int]) -> dict[str, Tensor]:
        """The text as source, the region as target.

        Args:
            region: The ids that name it.
            text: The ids of the text.
        """
        before, after = self.wording.text
        room = min(self.room(before, after), self.max_length)
        return {"input_ids": self.codec.source(before, text[:room], after), **self.codec.target(region)}

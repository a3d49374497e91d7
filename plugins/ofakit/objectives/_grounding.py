"""Shared by objectives that relate a text to a place in an image: to the regions that a model reads, or to boxes.

A model that reads regions is given one as VL-T5's token for its position; a model that reads pixels is given a box as
OFA's four bins.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ofakit.data.region_texts import RegionText, place_of
from ofakit.errors import UsageError
from ofakit.objectives._view_objective import ViewObjective
from ofakit.text.grounding import OFA, VL_T5, Grounding, bin_name, box_bins, region_name

__all__ = ["GroundingObjective"]

REGIONS = 100
"""The number of regions that VL-T5 has names for; texts about further regions are not used."""
BINS = 1000


class GroundingObjective(ViewObjective):
    """Cross entropy over a text about a region, or over the region.

    One of an example's texts is used, drawn afresh in each epoch; an example without texts of regions is not used.

    Args:
        max_length: Tokens of the text.
        least_overlap: The share of their union that a text's box and a region must have in common for the text to be
            about the region.
        label_smoothing: As in cross entropy.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    one_example_per = "regions"

    def __init__(
        self,
        max_length: int = 60,
        least_overlap: float = 0.5,
        label_smoothing: float = 0.0,
        pad_token_id: int = 1,
    ) -> None:
        super().__init__(max_length, label_smoothing, pad_token_id)
        if not 0 < least_overlap <= 1:
            raise UsageError(f"{self.name}: expected least_overlap over 0 and at most 1, found {least_overlap}")
        self.least_overlap = least_overlap
        self.wording: Grounding
        self.inputs: Any = None
        self.cells: int | None = None
        self.side = 0

    @abstractmethod
    def asked(self, region: Sequence[int], text: Sequence[int]) -> dict[str, Tensor]:
        """Source and target.

        Args:
            region: The ids that name the region; empty if there is nothing to learn.
            text: The ids of the text, at most `max_length`; empty if there is nothing to learn.
        """

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Find out how regions are named and where the model gets them from.

        Args:
            examples: The training examples.
            bundle: Model, tokenizer, preprocessor and regions; the names of regions are added to a vocabulary that
                lacks them.
            work_dir: Not used.

        Raises:
            UsageError: No example has a text of a region, or the images that the model sees are cut or flipped at
                random.
        """
        if not any(example.region_texts for example in examples):
            raise UsageError(
                f"{self.name}: no training example says anything about a part of its image; take a reader that gives "
                "texts of regions, such as scenes, or jsonl with regions_column"
            )
        if bundle.model.reads_regions:
            self._name_regions(bundle)
        else:
            self._name_boxes(bundle)
        super().prepare(examples, bundle, work_dir)

    def _name_regions(self, bundle: Any) -> None:
        self.wording, self.inputs = VL_T5, bundle.regions
        self.needs = [region_name(number) for number in range(REGIONS)]
        config = bundle.model.config
        self.cells = config.n_boxes if getattr(config, "downsample", False) else None
        if not bundle.regions.boxes:
            raise UsageError(f"{self.name} needs to know where regions stand: leave out data.regions.boxes false")

    def _name_boxes(self, bundle: Any) -> None:
        self.wording = OFA
        self.needs = [bin_name(number) for number in range(BINS)]
        section = bundle.preprocessor
        self.side = section.patch_image_size
        if section.horizontal_flip or section.stored_size != self.side:
            raise UsageError(
                f"{self.name}: boxes would not be where they were after the random cut or flip of training images; "
                "leave out preprocessor.max_image_size and horizontal_flip"
            )

    def view(self, example: Any, rng: np.random.Generator) -> dict[str, Tensor]:
        """A text about a region and the region: one is the source, the other the target.

        Args:
            example: An example, with or without texts of regions.
            rng: Draws one of the texts.

        Returns:
            input_ids (T,), decoder_input_ids (U,) and target (U,), int64; the target of an example without texts is
            padding.
        """
        for number in rng.permutation(len(example.region_texts)):
            said = example.region_texts[number]
            region, text = self.named(example, said), self.codec.caption(said.text)[: self.max_length]
            if region and text:
                return self.asked(region, text)
        nothing = self.asked((), ())
        return {**nothing, "target": torch.full_like(nothing["target"], self.pad_token_id)}

    def named(self, example: Any, said: RegionText) -> list[int]:
        """The ids that name the region of a text; empty if none of the model's regions matches.

        Args:
            example: An example with an image.
            said: One of its texts.

        Raises:
            UsageError: Regions have no boxes and do not form a square grid.
        """
        if self.inputs is None:
            return [] if said.box is None else self._bins(said.box)
        boxes = self.inputs.sample([example.image])["boxes"].numpy()
        if self.cells is not None and not boxes.any():
            boxes = boxes[: self.cells]
        place = place_of(said, boxes, self.least_overlap)
        return [] if place is None or place >= REGIONS else [self.needed[place]]

    def _bins(self, box: Sequence[float]) -> list[int]:
        return [self.needed[min(number, BINS - 1)] for number in box_bins(box, self.side, BINS)]

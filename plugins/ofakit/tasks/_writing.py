"""Shared by tasks whose models read an image and write a text: captioning and answering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch

from ofakit.hub import CaptionBundle
from ofakit.preprocessors.batches import move_batch
from ofakit.tasks.base import Task

__all__ = ["WritingTask"]

Bundle = TypeVar("Bundle", bound=CaptionBundle)


class WritingTask(Task[Bundle]):
    """A task whose bundle is one of captions, or like it."""

    def image_size(self, bundle: Bundle) -> int | None:
        """Pixels a side that images are kept decoded in: those before the cut; None for a model of regions.

        Args:
            bundle: The model.
        """
        return None if bundle.model.reads_regions else self.config.preprocessor.stored_size

    def move(self, bundle: Bundle, batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
        """A batch on the device, its images as normalised floats.

        Args:
            bundle: The model.
            batch: From the collator.
            device: Where the model is.
        """
        return move_batch(batch, device, bundle.mean_std)

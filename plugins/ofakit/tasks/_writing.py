"""Shared by tasks whose models read an image and write a text: captioning and answering."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import torch

from ofakit.config.schema import ModelSection
from ofakit.hub import CaptionBundle, ModelBundle, load_bundle
from ofakit.models.types import MODELS
from ofakit.preprocessors.batches import move_batch
from ofakit.tasks._starting import new_model, start_of
from ofakit.tasks.base import Task

__all__ = ["WritingTask"]

Bundle = TypeVar("Bundle", bound=CaptionBundle)


class WritingTask(Task[Bundle]):
    """A task whose bundle is one of captions, or like it.

    A subclass says what a bundle of its own is (`_new`), what becomes of a loaded one (`_continued`), and what either
    still lacks (`_completed`).
    """

    def build_bundle(self, path: str | None = None) -> Bundle:
        """The model to start from, its tokenizer and what the task adds to them.

        Args:
            path: A model directory or hub id instead of the configuration's.

        Raises:
            UsageError: The checkpoint or the tokenizer is missing or does not fit.
        """
        config = self.config
        section = config.model if path is None else config.model.model_copy(update={"path": path})
        whole, section = start_of(section, self.usual_model)
        if whole is not None:
            bundle = self._continued(load_bundle(whole, allow_partial=section.allow_partial))
            section = self.with_region_width(section, MODELS.build({"type": bundle.model_type}))
        else:
            bundle = self._new(*new_model(self, section), str(section.type))
        with config.naming_the_file("model"):
            MODELS.build({"type": bundle.model_type}).train_as(bundle.model, section)
        return self._completed(bundle, section)

    @abstractmethod
    def _new(self, model: Any, tokenizer: Any, model_type: str) -> Bundle:
        """The bundle of a model that was built."""

    @abstractmethod
    def _continued(self, bundle: ModelBundle) -> Bundle:
        """A loaded model under this experiment: what the configuration does not say stays as the model was taught."""

    @abstractmethod
    def _completed(self, bundle: Bundle, section: ModelSection) -> Bundle:
        """The bundle with what the task gives every model, once it is as it will be trained."""

    def _take_said(self, bundle: Bundle, *names: str) -> None:
        """Lay what the configuration says over sections of a loaded bundle."""
        for name in names:
            said = getattr(self.config, name).model_dump(exclude_unset=True)
            setattr(bundle, name, getattr(bundle, name).model_copy(update=said))

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

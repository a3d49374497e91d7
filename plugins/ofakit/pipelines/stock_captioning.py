"""The captioning pipeline under its stock name: we read directories of OFA, ModelScope those of other models.

import ofakit.modelscope
from modelscope.pipelines import pipeline

pipeline("image-captioning", model="damo/ofa_image-caption_coco_large_en")("photo.jpg")     # {"caption": ["…"], …}

A stock directory names its pipeline `image-captioning`, for which ModelScope imports every captioning model it has,
with fairseq, open_clip and librosa. This class takes over that name and needs none of them for OFA.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from modelscope.pipelines.builder import PIPELINES

from ofakit.hub import resolve_model
from ofakit.hub.directory import CONFIGURATION, read_configuration
from ofakit.pipelines.modelscope_pipeline import CaptionModel, CaptionPipeline

__all__ = ["StockCaptionPipeline"]

TASK = NAME = "image-captioning"
STOCK_MODULE = "modelscope.pipelines.multi_modal.image_captioning_pipeline"
STOCK_CLASS = "ImageCaptioningPipeline"


@PIPELINES.register_module("image-captioning", module_name="image-captioning", force=True)
class StockCaptionPipeline(CaptionPipeline):
    """`CaptionPipeline` for OFA, and ModelScope's own pipeline for other models."""

    @classmethod
    def _instantiate(cls, **arguments: Any) -> Any:
        """Called by ModelScope to make a pipeline.

        Args:
            **arguments: Arguments of the pipeline.
        """
        if _is_ours(arguments.get("model")):
            return cls(**arguments)
        return _stock_pipeline()(**arguments)


def _is_ours(model: Any) -> bool:
    """Whether a model is an OFA that we read; ModelScope handles a model that it has already read."""
    if not isinstance(model, str | Path):
        return isinstance(model, CaptionModel)
    section = read_configuration(resolve_model(model) / CONFIGURATION).get("model", {})
    kind = section.get("type") if isinstance(section, dict) else None
    return kind == "ofa" or str(kind).startswith("ofakit-")


def _stock_pipeline() -> Any:
    """ModelScope's own class, whose file registers it under the same name as ours."""
    ours = PIPELINES.modules[TASK].pop(NAME)
    try:
        return getattr(importlib.import_module(STOCK_MODULE), STOCK_CLASS)
    finally:
        PIPELINES.modules[TASK][NAME] = ours

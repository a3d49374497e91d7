"""The former place of `OFAModel.encoder_inputs` and `OFAModel.with_frozen_features`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["image_inputs", "shown_once"]


def image_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `OFAModel.encode` beside the text.

    Args:
        batch: With images, `patch_features` or `patch_images`, and `patch_masks`.
    """
    shown = "patch_images" if batch.get("patch_features") is None else "patch_features"
    return {name: batch[name] for name in (shown, "patch_masks") if batch.get(name) is not None}


def shown_once(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """As `model.with_frozen_features(batch)`.

    Args:
        model: A model; one without that method leaves the batch as it is.
        batch: On the model's device.
    """
    return model.with_frozen_features(batch) if hasattr(model, "with_frozen_features") else batch

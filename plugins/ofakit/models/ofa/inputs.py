"""What the encoder gets of a batch's images: the pixels, or what a frozen backbone has made of them already.

    encoded = model.encode(input_ids=batch["input_ids"], **image_inputs(batch))

A frozen backbone gives the same features to every pass of a step, so it need see the images only once:
`shown_once` puts `patch_features` beside `patch_images`, and from then on these stand for them, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["image_inputs", "shown_once"]


def image_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `OFAModel.encode` beside the text.

    Args:
        batch: With images, `patch_features` or `patch_images`, and `patch_masks`.

    >>> image_inputs({"input_ids": 1, "patch_images": 2, "patch_features": 3, "patch_masks": 4})
    {'patch_features': 3, 'patch_masks': 4}
    """
    shown = "patch_images" if batch.get("patch_features") is None else "patch_features"
    return {name: batch[name] for name in (shown, "patch_masks") if batch.get(name) is not None}


@torch.no_grad()
def shown_once(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The batch with `patch_features` where the model's backbone is frozen and there are images; else as it is.

    Args:
        model: An `OFAModel`; anything else without `visual_frozen` counts as not frozen.
        batch: On the model's device.
    """
    if not getattr(model, "visual_frozen", False) or batch.get("patch_images") is None:
        return batch
    return {**batch, "patch_features": model.visual_features(batch["patch_images"])}

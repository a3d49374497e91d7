"""Freeze parts of a model by name.

    freeze(model, ["visual", "embeddings"])

A frozen visual backbone stays in eval mode when the model is put into training, so that its batch norms go on using
their running statistics and these do not move.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ofakit.errors import UsageError, did_you_mean
from ofakit.models.ofa.model import OFAModel

__all__ = ["PARTS", "freeze"]

PARTS = ("visual", "embeddings", "encoder")
"""`visual`: the ResNet. `embeddings`: the token embedding and the output projection. `encoder`: all of it, the ResNet
included, but not the token embedding, which the decoder shares."""


def freeze(model: OFAModel, parts: Iterable[str]) -> int:
    """Stop the parameters of some parts from learning.

    Args:
        model: It is changed in place.
        parts: Names out of `PARTS`; freezing twice is freezing once.

    Returns:
        How many parameters are frozen in the whole model.

    Raises:
        UsageError: There is no such part, or a text-only model shall freeze `visual`.
    """
    for part in parts:
        if part not in PARTS:
            raise UsageError(f"cannot freeze {part!r}: {did_you_mean(str(part), PARTS)}")
        for module in _modules(model, part):
            module.requires_grad_(False)
        if part != "embeddings" and model.config.use_image_feature:
            model.encoder.visual_frozen = True
            model.encoder.embed_images.eval()
    return sum(p.numel() for p in model.parameters() if not p.requires_grad)


def _modules(model: OFAModel, part: str) -> list[nn.Module]:
    if part == "embeddings":
        return [model.encoder.embed_tokens, model.decoder.output_projection]
    if part == "encoder":
        return [module for name, module in model.encoder.named_children() if name != "embed_tokens"]
    if not model.config.use_image_feature:
        raise UsageError("cannot freeze 'visual': this model takes no images (use_image_feature=false)")
    return [model.encoder.embed_images]

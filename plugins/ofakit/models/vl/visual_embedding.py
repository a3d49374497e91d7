"""Embeddings of image regions, to go with those of words.

Features and places of the regions are projected and added; embeddings that say which image a region is of and where it
stands in the image's list are added too. The latter are rows of the token table, the last one for the first region, so
that a text may name a region by `<vis_extra_id_0>`, `<vis_extra_id_1>`, and so on; tokens that are added later, such as
styles, do not move them (`region_rows`).
Source: j-min/VL-T5 a07d779, `VL-T5/src/modeling_t5.py`, `modeling_bart.py`; ylsung/VL_adapter 545fcbb, the same files.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.models.heads.grid_pool import pool_grid
from ofakit.models.ofa.layers import look_up
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.norms import norm

__all__ = ["VisualEmbedding", "box_numbers"]


def box_numbers(boxes: Tensor) -> Tensor:
    """The five numbers that tell where a region is: its corners, and the product that checkpoints were trained with.

    That is (y2 - x2) (y1 - x1), not the area: the original code takes the corners in another order than its data have
    them. It is kept, since released weights expect it.

    Args:
        boxes: `(..., 4)`: x1, y1, x2, y2 as fractions of the image.

    Returns:
        `(..., 5)`.

    >>> box_numbers(torch.tensor([0.0, 0.5, 0.25, 1.0])).tolist()
    [0.0, 0.5, 0.25, 1.0, 0.375]
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.cat([boxes, ((y2 - x2) * (y1 - x1))[..., None]], -1)


class VisualEmbedding(nn.Module):
    """Embeddings of regions.

    Args:
        config: The model's configuration.
        tokens: The token table, shared with the encoder.
    """

    def __init__(self, config: VLConfig, tokens: nn.Embedding) -> None:
        super().__init__()
        self.config = config
        self.tokens = [tokens]  # in a list: the table belongs to the model
        width, own_norms = config.d_model, config.use_vis_layer_norm and config.individual_vis_layer_norm

        def projected(inputs: int) -> list[nn.Module]:
            return [nn.Linear(inputs, width), *([norm(config)] if own_norms else [])]

        features = projected(config.feat_dim)
        for _ in range(config.additional_visual_embedding_layers):
            linear, *norms = projected(width)
            features += [linear, nn.ReLU(), *norms]
        self.feat_embedding = nn.Sequential(*features)
        self.absolute_vis_pos_embedding = nn.Sequential(*projected(config.pos_dim + 1))
        if config.use_vis_order_embedding:
            self.img_order_embedding = nn.Embedding(config.n_images, width)
        self.layer_norm = norm(config) if config.use_vis_layer_norm and not own_norms else None

    def pooled(
        self, feats: Tensor, boxes: Tensor | None, images: Tensor | None, regions: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
        """The grid of each image made coarser, where the configuration has `downsample`; otherwise all as it is.

        Boxes, order and mask of the coarser grid are the first ones of each image.

        Args:
            feats: `(B, N, f)`; the images of an example have grids of the same size, one after the other.
            boxes: `(B, N, 4)` or none.
            images: `(B, N)` int64, which image each region is of; none: one image an example.
            regions: `(B, N)` int64, or none.
            mask: `(B, N)`, or none.
        """
        cells = self.config.n_boxes
        if not self.config.downsample or feats.shape[1] == cells:
            return feats, boxes, images, regions, mask
        parts = 1 if images is None else int(images.max()) + 1
        coarse = torch.cat([pool_grid(part, math.isqrt(cells)) for part in feats.chunk(parts, 1)], 1)

        def first(given: Tensor | None) -> Tensor | None:
            return given if given is None else torch.cat([part[:, :cells] for part in given.chunk(parts, 1)], 1)

        return coarse, first(boxes), first(images), first(regions), first(mask)

    def forward(
        self, feats: Tensor, boxes: Tensor | None = None, images: Tensor | None = None, regions: Tensor | None = None
    ) -> Tensor:
        """Embed regions, `(B, N, f) -> (B, N, d)`.

        Args:
            feats: Features, in any precision; the weights' is computed in.
            boxes: `(B, N, 4)`: x1, y1, x2, y2 as fractions of the image; none, as for a grid, counts as zeros.
            images: `(B, N)` int64: which image a region is of, the first where it is left out.
            regions: `(B, N)` int64: the region's place in its image, 0 to N - 1 where it is left out.

        Raises:
            UsageError: The features are of another width than the model's, or of more images than it tells apart.
        """
        if feats.shape[-1] != self.config.feat_dim:
            raise UsageError(
                f"expected features of {self.config.feat_dim} numbers per region (feat_dim), found {feats.shape[-1]}"
            )
        weights = self.tokens[0].weight.dtype
        boxes = feats.new_zeros((*feats.shape[:2], 4)) if boxes is None else boxes
        numbers = box_numbers(boxes.to(feats.dtype)).to(weights)
        x = self.feat_embedding(feats.to(weights)) + self.absolute_vis_pos_embedding(numbers)
        if self.config.use_vis_order_embedding:
            x = x + self.order(images, regions, feats)
        return x if self.layer_norm is None else self.layer_norm(x)

    def order(self, images: Tensor | None, regions: Tensor | None, feats: Tensor) -> Tensor:
        """Embeddings of image and place, `(1 or B, N, d)`.

        Args:
            images: As in `forward`.
            regions: As in `forward`.
            feats: Tells how many regions there are.

        Raises:
            UsageError: There are more images than embeddings of them.
        """
        (tokens,) = self.tokens
        rows = self.config.region_rows or len(tokens.weight)
        regions = torch.arange(feats.shape[1], device=feats.device)[None] if regions is None else regions
        if images is None:
            images = torch.zeros_like(regions)
        elif (count := int(images.max()) + 1) > self.config.n_images:
            raise UsageError(f"expected at most {self.config.n_images} images an example (n_images), found {count}")
        return self.img_order_embedding(images) + look_up(tokens, rows - 1 - regions)

"""The encoder: patches of an image, then the tokens of a text, through layers of self-attention.

Source: ModelScope 1.40.2, `models/multi_modal/ofa/modeling_ofa.py`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.config.backbone import BackboneSection
from ofakit.errors import UsageError
from ofakit.models.ofa.attention import padding_bias
from ofakit.models.ofa.configuration import OFAConfig, drop_path_rates
from ofakit.models.ofa.layers import ResidualLayer, dropout, look_up, surviving_layers
from ofakit.models.ofa.positions import (
    bias_table,
    image_buckets,
    image_distances,
    image_position_ids,
    position_bias,
    relative_bias,
    text_positions,
    token_buckets,
)
from ofakit.models.ofa.vision import VISUAL_WIDTH, build_resnet, visual_features
from ofakit.models.timm_backbone import TimmBackbone

if TYPE_CHECKING:
    from ofakit.models.ofa.vision import ResNet

__all__ = ["Encoder", "EncoderOutput"]


@dataclass
class EncoderOutput:
    """What the encoder hands to the decoder; S is the number of patches and tokens.

    Attributes:
        last_hidden_state: `(B, S, d)`, normalised.
        padding_mask: `(B, S)` bool, True where nothing stands: padded tokens, patches of a missing image.
        position_embedding: `(S, d)`, normalised position embeddings; the same for the whole batch.
        has_padding: Whether `padding_mask` is True anywhere.
        hidden_states: On request the input of the first layer and the output of every layer, before the last norm.
    """

    last_hidden_state: Tensor
    padding_mask: Tensor
    position_embedding: Tensor
    has_padding: bool
    hidden_states: tuple[Tensor, ...] | None = None

    def select(self, index: Tensor) -> EncoderOutput:
        """The examples at `index`, in that order.

        Args:
            index: `(N,)` int64; an example may be named more than once.
        """
        states = None if self.hidden_states is None else tuple(h.index_select(0, index) for h in self.hidden_states)
        hidden, padding = self.last_hidden_state.index_select(0, index), self.padding_mask.index_select(0, index)
        return EncoderOutput(hidden, padding, self.position_embedding, self.has_padding, states)


class EncoderLayer(ResidualLayer):
    """Self-attention, then the feed-forward net.

    Args:
        config: The model's configuration.
        drop_path_rate: Probability of dropping a branch for one example in training.
    """

    def __init__(self, config: OFAConfig, drop_path_rate: float) -> None:
        heads, before = config.encoder_attention_heads, config.encoder_normalize_before
        super().__init__(config, config.encoder_ffn_dim, heads, before, drop_path_rate)
        self.add_gains(config, "self_attn", "ffn")

    def forward(self, x: Tensor, bias: Tensor, padding: Tensor | None) -> Tensor:
        """One layer, `(B, S, d) -> (B, S, d)`.

        Args:
            x: States.
            bias: `(H, S, S)` position bias.
            padding: `(B, 1, 1, S)`, or none.
        """
        x = self.branch(
            x,
            lambda y: self.self_attn(y, bias=bias, padding=padding),
            self.self_attn_layer_norm,
            self.self_attn_mid_layer_norm,
            self.weight_self_attn,
        )
        x = self.branch(x, self.feed_forward, self.final_layer_norm, None, self.weight_ffn)
        if x.dtype == torch.float16:
            limit = torch.finfo(x.dtype).max - 1000
            x = x.clamp(-limit, limit)
        return x


class Encoder(nn.Module):
    """The encoder with its embeddings; parameters have the stock names.

    Attributes:
        prompt: Gives learned states `(P, d)` that stand in front of the text and have no position, where there is one.

    Args:
        config: The model's configuration.
        embed_tokens: The token embedding, shared with the decoder.
    """

    def __init__(self, config: OFAConfig, embed_tokens: nn.Embedding) -> None:
        super().__init__()
        width, heads = config.d_model, config.encoder_attention_heads
        self.config = config
        self.prompt: nn.Module | None = None
        self.visual_frozen = False
        self.embed_scale = math.sqrt(width) if config.scale_embedding else 1.0
        self.pos_scaling = (width / heads * config.attn_scale_factor) ** -0.5
        self.layernorm_embedding = nn.LayerNorm(width) if config.layernorm_embedding else None
        self.embed_tokens = embed_tokens
        types = 2 if config.use_image_feature else 1
        self.type_embedding = nn.Embedding(types, width) if config.add_type_embedding else None
        self.embed_images: ResNet | TimmBackbone | None = None
        if config.use_image_feature:
            self.embed_images = _build_backbone(config)
            self.image_proj = nn.Linear(getattr(self.embed_images, "width", VISUAL_WIDTH), width)
        self.patch_layernorm_embedding = nn.LayerNorm(width) if config.patch_layernorm_embedding else None
        self.embed_positions = nn.Embedding(config.max_position_embeddings + 2, width)
        if config.use_image_feature:
            self.embed_image_positions = nn.Embedding(config.image_bucket_size**2 + 1, width)
        self.pos_ln = nn.LayerNorm(width)
        if config.use_image_feature:
            self.image_pos_ln = nn.LayerNorm(width)
        self.pos_q_linear = nn.Linear(width, width)
        self.pos_k_linear = nn.Linear(width, width)
        rates = drop_path_rates(config.encoder_drop_path_rate, config.encoder_layers)
        self.layers = nn.ModuleList(EncoderLayer(config, rate) for rate in rates)
        self.layer_norm = nn.LayerNorm(width) if config.encoder_normalize_before else None
        tables = 1 if config.share_attn_bias else config.encoder_layers
        rows = 2 * config.token_bucket_size - 1
        self.token_rel_pos_table_list = nn.ModuleList(nn.Embedding(rows, heads) for _ in range(tables))
        if config.use_image_feature:
            rows = image_distances(config.image_bucket_size)
            self.image_rel_pos_table_list = nn.ModuleList(nn.Embedding(rows, heads) for _ in range(tables))

    def train(self, mode: bool = True) -> Encoder:
        """Go into training or eval mode; a frozen visual backbone stays in eval mode.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        if self.visual_frozen and self.embed_images is not None:
            self.embed_images.eval()
        return self

    def forward(
        self,
        input_ids: Tensor,
        patch_images: Tensor | None = None,
        patch_masks: Tensor | None = None,
        output_hidden_states: bool = False,
        patch_features: Tensor | None = None,
        image_index: Tensor | None = None,
    ) -> EncoderOutput:
        """Encode a batch.

        Args:
            input_ids: `(B, T)` int64, padded with `pad_token_id`.
            patch_images: `(B, 3, H, W)` normalised floats, or bytes for a timm network; none for text alone.
            patch_masks: `(B,)` bool, False where an image is missing; none means that all are there.
            output_hidden_states: Keep the states of every layer.
            patch_features: `(B, C, h, w)`, what `visual_features` gave for the images, instead of these.
            image_index: `(B,)` int64, which of the images each text is about: the backbone sees an image once,
                however many texts there are. None: there is one image a text.

        Raises:
            UsageError: A text or image is too large for the position tables, or the model takes no images.
        """
        padding = input_ids.eq(self.config.pad_token_id)
        missing = _missing_images(patch_images if patch_features is None else patch_features, patch_masks, image_index)
        # Asked before the backbone runs: an accelerator answers when it has done all that it was given.
        has_padding = bool(padding.any() if missing is None else padding.any() | missing.any())
        grid: tuple[int, int] | None = None
        patches = None
        if patch_features is None and patch_images is not None:
            patch_features = self.visual_features(patch_images)
        if patch_features is not None and missing is not None:
            grid = patch_features.shape[-2], patch_features.shape[-1]
            patches = patch_features.flatten(2).transpose(1, 2)
            if image_index is not None:
                patches = patches.index_select(0, image_index)
            padding = torch.cat([missing.expand(-1, patches.shape[1]), padding], dim=1)
        token_positions = text_positions(self.embed_positions, input_ids.shape[1])
        x = self._embed_tokens(input_ids, token_positions)
        positions = self.pos_ln(token_positions)
        if self.prompt is not None:
            learned = self.prompt().to(x.dtype)
            x = torch.cat([learned.expand(len(x), -1, -1), x], dim=1)
            positions = torch.cat([torch.zeros_like(learned, dtype=positions.dtype), positions])
            there = torch.zeros(len(x), len(learned), dtype=torch.bool, device=x.device)
            padding = torch.cat([padding[:, : -input_ids.shape[1]], there, padding[:, -input_ids.shape[1] :]], dim=1)
        if patches is not None and grid is not None:
            image_positions = self._image_positions(*grid)
            x = torch.cat([self._embed_patches(patches, image_positions), x], dim=1)
            positions = torch.cat([self.image_pos_ln(image_positions), positions])
        if has_padding:
            x = x.masked_fill(padding[..., None], 0)
        mask = padding_bias(padding, torch.float32) if has_padding else None
        with torch.autocast(x.device.type, enabled=False):
            bias_of = self._bias_maker(positions, input_ids.shape[1], grid)
        states = [x]
        for index, layer in surviving_layers(self.layers, self.config.encoder_layerdrop, self.training):
            x = layer(x, bias_of(0 if self.config.share_attn_bias else index), mask)
            if output_hidden_states:
                states.append(x)
        if self.layer_norm is not None:
            x = self.layer_norm(x)
        return EncoderOutput(x, padding, positions, has_padding, tuple(states) if output_hidden_states else None)

    def visual_features(self, images: Tensor) -> Tensor:
        """Run the visual backbone, `(B, 3, H, W) -> (B, C, h, w)`; C is 1024 for OFA's ResNet.

        Args:
            images: Normalised floats, or bytes for a timm network, which normalises by itself.

        Raises:
            UsageError: The model takes no images.
        """
        if self.embed_images is None:
            raise UsageError("this model does not read images (use_image_feature=false); leave patch_images out")
        if isinstance(self.embed_images, TimmBackbone):
            features = self.embed_images(images, self.visual_frozen)
            return features.to(self.embed_image_positions.weight.dtype)
        return visual_features(self.embed_images, images.to(self.embed_images.conv1.weight.dtype))

    def _embed_tokens(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        x = look_up(self.embed_tokens, input_ids)
        return self._finish(x, positions, 0, self.layernorm_embedding)

    def _embed_patches(self, patches: Tensor, positions: Tensor) -> Tensor:
        return self._finish(self.image_proj(patches), positions, 1, self.patch_layernorm_embedding)

    def _finish(self, x: Tensor, positions: Tensor, kind: int, norm: nn.Module | None) -> Tensor:
        if self.embed_scale != 1.0:
            x = x * self.embed_scale
        if self.config.entangle_position_embedding:
            x = x + positions
        if self.type_embedding is not None:
            x = x + self.type_embedding.weight[kind]
        if norm is not None:
            x = norm(x)
        return dropout(x, self.config.dropout, self.training)

    def _image_positions(self, height: int, width: int) -> Tensor:
        size = self.config.image_bucket_size
        device = self.embed_image_positions.weight.device
        original = self.config.orig_patch_image_size // 16
        if not (self.config.interpolate_position and height * width > original**2):
            return self.embed_image_positions(image_position_ids(height, width, size, device))
        small = self.embed_image_positions(image_position_ids(original, original, size, device))
        small = small.view(1, original, original, -1).permute(0, 3, 1, 2)
        return F.interpolate(small, size=(height, width), mode="bilinear").flatten(2)[0].t()

    def _bias_maker(self, positions: Tensor, length: int, grid: tuple[int, int] | None) -> Callable[[int], Tensor]:
        """The function that gives each table's bias, `(H, S, S)`; the part all layers share is computed here, once."""
        q, k = self.pos_q_linear(positions), self.pos_k_linear(positions)
        absolute = position_bias(q, k, self.config.encoder_attention_heads, self.pos_scaling)
        text = token_buckets(length, self.config.token_bucket_size, positions.device)
        image = image_buckets(*grid, self.config.image_bucket_size, positions.device) if grid else None
        before, patches = len(positions) - length, grid[0] * grid[1] if grid else 0

        def bias_of(index: int) -> Tensor:
            bias = absolute.clone()
            bias[:, before:, before:] += relative_bias(bias_table(self.token_rel_pos_table_list, index), text)
            if image is not None:
                table = bias_table(self.image_rel_pos_table_list, index)
                bias[:, :patches, :patches] += relative_bias(table, image)
            return bias

        return functools.cache(bias_of) if self.config.share_attn_bias else bias_of


def _build_backbone(config: OFAConfig) -> ResNet | TimmBackbone:
    """OFA's own ResNet, or the timm network that the configuration names."""
    if config.backbone is None:
        return build_resnet(config.resnet_type, config.resnet_drop_path_rate)
    return TimmBackbone(BackboneSection(**config.backbone))


def _missing_images(images: Tensor | None, masks: Tensor | None, index: Tensor | None) -> Tensor | None:
    """`(B, 1)` bool, True where the image of a text is missing; none where there are no images."""
    if images is None:
        return None
    missing = torch.zeros(len(images), 1, dtype=torch.bool, device=images.device)
    if masks is not None:
        missing = ~masks.view(-1, 1)
    return missing if index is None else missing.index_select(0, index)

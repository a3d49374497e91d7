"""The joint encoder: a text, followed by the regions of the images it is about.

T5's distances are those of words alone; between regions, and between words and regions, there are none. BART numbers
the words alone. A prompt of an adapter stands before the text: T5 counts it as text, BART gives it no position.
Source: j-min/VL-T5 a07d779 and ylsung/VL_adapter 545fcbb, class `JointEncoder` of `modeling_t5.py`, `modeling_bart.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.models.ofa.attention import padding_bias
from ofakit.models.ofa.layers import dropout
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.layers import Layer
from ofakit.models.vl.stack import Stack
from ofakit.models.vl.visual_embedding import VisualEmbedding

__all__ = ["Encoder", "EncoderOutput"]


@dataclass
class EncoderOutput:
    """What the encoder gives; S is the length of prompt, text and regions.

    Attributes:
        last_hidden_state: `(B, S, d)`; T5's is normalised.
        padding_mask: `(B, S)` bool, True where nothing stands.
        has_padding: Whether a place is padding, or could be.
        hidden_states: On request what the first layer reads and what every layer gives, T5's before the last norm.
        task: Whose adapters it was computed with, and shall be decoded with.
    """

    last_hidden_state: Tensor
    padding_mask: Tensor
    has_padding: bool
    hidden_states: tuple[Tensor, ...] | None = None
    task: str | None = None

    def select(self, index: Tensor) -> EncoderOutput:
        """The examples at `index`, in that order.

        Args:
            index: `(N,)` int64; an example may be named more than once.
        """
        states = None if self.hidden_states is None else tuple(x.index_select(0, index) for x in self.hidden_states)
        chosen = {name: getattr(self, name).index_select(0, index) for name in ("last_hidden_state", "padding_mask")}
        return replace(self, hidden_states=states, **chosen)


class Encoder(Stack):
    """The encoder with its embeddings.

    Args:
        config: The model's configuration.
        shared: The token table.
    """

    def __init__(self, config: VLConfig, shared: nn.Embedding) -> None:
        heads, width = config.encoder_attention_heads, config.encoder_ffn_dim
        super().__init__(config, shared, (Layer(config, heads, width) for _ in range(config.encoder_layers)), heads)
        self.visual_embedding = VisualEmbedding(config, shared)

    def forward(
        self,
        input_ids: Tensor,
        vis_feats: Tensor | None = None,
        boxes: Tensor | None = None,
        vis_attention_mask: Tensor | None = None,
        img_order_ids: Tensor | None = None,
        obj_order_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        task: str | None = None,
    ) -> EncoderOutput:
        """Encode a batch.

        Args:
            input_ids: `(B, L)` int64, padded with `pad_token_id`.
            vis_feats: `(B, N, f)` features of regions, or none for text alone.
            boxes: `(B, N, 4)` fractions of the image, or none.
            vis_attention_mask: `(B, N)`, nonzero where a region stands; none: everywhere.
            img_order_ids: `(B, N)` int64, or none for one image an example.
            obj_order_ids: `(B, N)` int64, or none.
            output_hidden_states: Keep the states of every layer.
            task: Kept in the output.

        Raises:
            UsageError: A text is too long for the position table, or the features are of another width.
        """
        words, padded = self._words(input_ids)
        length, regions = words.shape[1], None
        if vis_feats is not None:
            given = (vis_feats, boxes, img_order_ids, obj_order_ids, vis_attention_mask)
            vis_feats, boxes, img_order_ids, obj_order_ids, mask = self.visual_embedding.pooled(*given)
            regions = self.visual_embedding(vis_feats, boxes, img_order_ids, obj_order_ids)
            absent = padded.new_zeros(regions.shape[:2]) if mask is None else mask.to(padded.device) == 0
            padded = torch.cat([padded, absent], 1)
        x = self._joined(words, regions)
        # Where asking would wait for an accelerator, a mask that hides nothing costs less.
        has_padding = padded.device.type != "cpu" or bool(padded.any())
        padding = padding_bias(padded, torch.float32) if has_padding else None
        bias = None
        if self.config.is_t5:  # nothing where one of the two is a region
            beside = x.shape[1] - length
            bias = F.pad(self.distances(length, True, x.device), (0, beside, 0, beside))
        states = [x]
        for layer in cast("list[Layer]", list(self.layers)):
            x = layer(x, bias, padding)
            if output_hidden_states:
                states.append(x)
        if self.config.is_t5:
            x = dropout(self.final_layer_norm(x), self.config.dropout, self.training)
        return EncoderOutput(x, padded, has_padding, tuple(states) if output_hidden_states else None, task)

    def _words(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of prompt and text, `(B, L, d)`, without BART's norm, and where nothing stands."""
        words = self.words(input_ids)
        padded = input_ids.eq(self.config.pad_token_id)
        if not self.config.is_t5:
            words = words + self.positions(0, input_ids.shape[1])
        if self.prompt is not None:
            prompt = self.prompt()
            words = torch.cat([prompt.to(words.dtype).expand(len(words), -1, -1), words], 1)
            padded = F.pad(padded, (len(prompt), 0))
        return words, padded

    def _joined(self, words: Tensor, regions: Tensor | None) -> Tensor:
        """Words and regions as the first layer reads them."""
        together = self.config.share_vis_lang_layer_norm
        if not self.config.is_t5 and not together:
            words = self.layernorm_embedding(words)
        x = words if regions is None else torch.cat([words, regions.to(words.dtype)], 1)
        if not self.config.is_t5 and together:
            x = self.layernorm_embedding(x)
        return dropout(x, self.config.dropout, self.training)

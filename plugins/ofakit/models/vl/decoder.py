"""The decoder: whole sequences for training, one token at a time for generation.

A prompt of an adapter is run through the decoder first, without the encoder, and the words look back at it.
Source: transformers 4.2.1, `modeling_t5.py`, `modeling_bart.py`; for prompts ylsung/VL_adapter 545fcbb,
`VL-T5/src/modeling_bart.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.models.generation.beam_cache import BeamCache, LayerCache
from ofakit.models.ofa.attention import padding_bias
from ofakit.models.ofa.layers import dropout
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.encoder import EncoderOutput
from ofakit.models.vl.layers import DecoderLayer
from ofakit.models.vl.stack import Stack

__all__ = ["Decoder", "DecoderState"]


@dataclass
class DecoderState(BeamCache):
    """Where a generation stands.

    Attributes:
        bias: `(H, M, M)`, T5's bias for distances, M = max_length, or none.
        prompt: States of a prompt at the beginning of every layer's cache.
    """

    bias: Tensor | None
    prompt: int


class Decoder(Stack):
    """The decoder with its embeddings.

    Args:
        config: The model's configuration.
        shared: The token table.
    """

    def __init__(self, config: VLConfig, shared: nn.Embedding) -> None:
        heads, width = config.decoder_attention_heads, config.decoder_ffn_dim
        own = (DecoderLayer(config, heads, width) for _ in range(config.decoder_layers))
        super().__init__(config, shared, own, heads)

    def forward(self, input_ids: Tensor, encoder_outputs: EncoderOutput) -> Tensor:
        """Decode whole sequences.

        Args:
            input_ids: `(B, U)` int64.
            encoder_outputs: The encoder's, of the same batch.

        Returns:
            `(B, U, d)`, T5's normalised.

        Raises:
            UsageError: A text is too long for the position table.
        """
        prompt = self._prompt(len(input_ids))
        count = 0 if prompt is None else prompt.shape[1]
        x = self._embed(self.words(input_ids), count)
        if prompt is not None:
            x = torch.cat([prompt.to(x.dtype), x], 1)
        padding = None
        if encoder_outputs.has_padding:
            padding = padding_bias(encoder_outputs.padding_mask, torch.float32)
        bias = self._bias(x.shape[1], x.device)
        for layer in cast("list[DecoderLayer]", list(self.layers)):
            x = layer(x, bias, encoder_outputs.last_hidden_state, padding, count)
        return self._finish(x[:, count:])

    @torch.no_grad()
    def start(self, encoder_outputs: EncoderOutput, num_beams: int, max_length: int) -> DecoderState:
        """Begin to generate: project the encoder's states, and set up the caches.

        Args:
            encoder_outputs: The encoder's, one row per example.
            num_beams: Beams per example, at least 1.
            max_length: How many tokens will be put in at most, the start token included.

        Raises:
            UsageError: `num_beams` or `max_length` is under 1, or there are not so many positions.
        """
        if num_beams < 1 or max_length < 1:
            raise UsageError(f"expected num_beams and max_length of at least 1, found {num_beams} and {max_length}")
        memory = encoder_outputs.last_hidden_state
        prompt = self._prompt(len(memory))
        count = 0 if prompt is None else prompt.shape[1]
        if not self.config.is_t5:
            self.positions(count, max_length)  # are there so many?
        bias = self._bias(max_length, memory.device).to(memory.dtype) if self.config.is_t5 else None
        caches = []
        for layer in cast("list[DecoderLayer]", list(self.layers)):
            keys, values = layer.encoder_attn.keys_values(memory)
            size = (len(memory), keys.shape[1], count + max_length * num_beams, keys.shape[3])
            empty = keys.new_empty(size), keys.new_empty(size)
            caches.append(LayerCache(*empty, keys.contiguous(), values.contiguous()))
        if prompt is not None:
            self._fill(caches, prompt.to(memory.dtype))
        padding = padding_bias(encoder_outputs.padding_mask, memory.dtype) if encoder_outputs.has_padding else None
        origins = torch.zeros(len(memory), num_beams, max_length, dtype=torch.int64, device=memory.device)
        return DecoderState(num_beams, max_length, 0, caches, padding, origins, bias, count)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Put one token into every beam.

        Args:
            tokens: `(B * beams,)` int64, the newest token of every beam, the beams of an example side by side; in the
                first step `(B,)` will do, since the beams of an example begin alike.
            state: What `start` gave; it moves on by one step.

        Returns:
            States of the tokens, `(B * beams, d)` or `(B, d)`, T5's normalised.

        Raises:
            UsageError: The state has taken `max_length` tokens already.
        """
        if state.length >= state.max_length:
            raise UsageError(f"the decoder state was made for {state.max_length} tokens and is full")
        at = state.length
        rows = 1 if at == 0 and len(tokens) == state.batch_size else state.num_beams
        embedded = self.words(tokens.view(state.batch_size, rows))
        x = self._embed(embedded.flatten(0, 1)[:, None], state.prompt + at).view(embedded.shape)
        mask = self._mask(state, rows, x.dtype)
        for layer, cache in zip(cast("list[DecoderLayer]", list(self.layers)), state.layers, strict=True):
            x = layer.step(x, cache, state.prompt + at * state.num_beams, state.num_beams, mask, state.memory_padding)
        state.length += 1
        return self._finish(x).flatten(0, 1)

    def _mask(self, state: DecoderState, rows: int, dtype: torch.dtype) -> Tensor | None:
        """What is added to the scores of the cached keys in every layer, `(1 or B, 1 or H, 1 or rows, keys)`."""
        pasts = state.hidden_pasts(dtype)
        mask = pasts if pasts is None else pasts[:, :, :rows]
        if state.bias is not None:
            at = state.length
            distances = state.bias[:, at, : at + 1].repeat_interleave(state.num_beams, -1)[None, :, None]
            mask = distances if mask is None else distances + mask
        return F.pad(mask, (state.prompt, 0)) if mask is not None and state.prompt else mask

    def _embed(self, words: Tensor, start: int) -> Tensor:
        """What the first layer reads of words, `(B, U, d) -> (B, U, d)`; `start` is the first one's position."""
        if not self.config.is_t5:
            words = self.layernorm_embedding(words + self.positions(start, words.shape[1]))
        return dropout(words, self.config.dropout, self.training)

    def _prompt(self, examples: int) -> Tensor | None:
        """The states of the prompt as the first layer reads them, `(B, P, d)`."""
        return None if self.prompt is None else self._embed(self.prompt().expand(examples, -1, -1), 0)

    def _fill(self, caches: list[LayerCache], x: Tensor) -> None:
        """Run a prompt through the layers and put its keys and values into the caches."""
        bias = self._bias(x.shape[1], x.device)
        for layer, cache in zip(cast("list[DecoderLayer]", list(self.layers)), caches, strict=True):
            read = layer.self_attn_layer_norm(x) if layer.normalize_before else x
            cache.keys[:, :, : x.shape[1]], cache.values[:, :, : x.shape[1]] = layer.self_attn.keys_values(read)
            x = layer(x, bias, None, None)

    def _finish(self, x: Tensor) -> Tensor:
        return dropout(self.final_layer_norm(x), self.config.dropout, self.training) if self.config.is_t5 else x

    def _bias(self, length: int, device: torch.device) -> Tensor:
        """`(H or 1, U, U)`: T5's bias for distances, and -inf where a key lies ahead of its query."""
        ahead = torch.ones(length, length, dtype=torch.bool, device=device).triu(1)
        hidden = torch.zeros(1, length, length, device=device).masked_fill_(ahead, -torch.inf)
        return self.distances(length, False, device) + hidden if self.config.is_t5 else hidden

"""The decoder: whole sequences for training, one token at a time for generation.

One token at a time:

    state = model.decoder.start(encoder_outputs, num_beams=5, max_length=17)
    hidden = model.decoder.step(tokens, state)        # (B * beams,) -> (B * beams, d)
    logits = hidden @ model.output_embedding.t()
    state.reorder(index)                              # rows that go on, (B * beams,)
    state.select(batch_index)                         # images that go on

How keys and values are kept is said in `ofakit.models.generation.beam_cache`.
Source of the model: ModelScope 1.40.2, `models/multi_modal/ofa/modeling_ofa.py`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.models.generation.beam_cache import BeamCache, LayerCache
from ofakit.models.ofa.attention import Attention, attend, padding_bias
from ofakit.models.ofa.configuration import OFAConfig, drop_path_rates
from ofakit.models.ofa.encoder import EncoderOutput
from ofakit.models.ofa.layers import ResidualLayer, dropout, look_up, surviving_layers
from ofakit.models.ofa.positions import (
    bias_table,
    image_distances,
    position_bias,
    relative_bias,
    text_positions,
    token_buckets,
)

__all__ = ["Decoder", "DecoderState", "DecoderSteps"]


@dataclass
class BiasedCache(LayerCache):
    """Keys and values of one layer, whose self-attention has a position bias.

    Attributes:
        bias: `(H, M, M)`, M = max_length.
    """

    bias: Tensor


@dataclass
class DecoderState(BeamCache):
    """Where a generation stands.

    Attributes:
        memory_bias: `(H, M, S)` cross-attention position bias.
        positions: `(M, d)` position embeddings, for models that add them to the tokens.
        prompt: States of a prompt at the beginning of every layer's cache.
    """

    memory_bias: Tensor
    positions: Tensor
    prompt: int = 0


class DecoderLayer(ResidualLayer):
    """Self-attention, attention to the encoder's states, then the feed-forward net.

    Args:
        config: The model's configuration.
        drop_path_rate: Probability of dropping a branch for one example in training.
    """

    weight_cross_attn: nn.Parameter | None

    def __init__(self, config: OFAConfig, drop_path_rate: float) -> None:
        heads, before = config.decoder_attention_heads, config.decoder_normalize_before
        super().__init__(config, config.decoder_ffn_dim, heads, before, drop_path_rate)
        self.cross_attn = Attention(config.d_model, heads, config.attention_dropout, config.attn_scale_factor)
        self.cross_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.cross_attn_mid_layer_norm = nn.LayerNorm(config.d_model) if config.normformer else None
        self.add_gains(config, "self_attn", "cross_attn", "ffn")

    def _branches(
        self, x: Tensor, look_back: Callable[[Tensor], Tensor], look_up: Callable[[Tensor], Tensor], prompt: int = 0
    ) -> Tensor:
        norms = self.self_attn_layer_norm, self.self_attn_mid_layer_norm
        x = self.branch(x, look_back, *norms, self.weight_self_attn)
        norms = self.cross_attn_layer_norm, self.cross_attn_mid_layer_norm
        if not prompt:
            x = self.branch(x, look_up, *norms, self.weight_cross_attn)
        elif prompt < x.shape[1]:
            words = self.branch(x[:, prompt:], look_up, *norms, self.weight_cross_attn)
            x = torch.cat([x[:, :prompt], words], dim=1)
        return self.branch(x, self.feed_forward, self.final_layer_norm, None, self.weight_ffn)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        bias: Tensor,
        padding: Tensor | None,
        memory_bias: Tensor,
        memory_padding: Tensor | None,
        prompt: int = 0,
    ) -> Tensor:
        """One layer over whole sequences, `(B, U, d) -> (B, U, d)`; U counts a prompt, but in `memory_bias`.

        Args:
            x: States.
            memory: `(B, S, d)` states of the encoder.
            bias: `(H, U, U)` position bias, -inf where a key lies ahead.
            padding: `(B, 1, 1, U)`, or none.
            memory_bias: `(H, U, S)` position bias.
            memory_padding: `(B, 1, 1, S)`, or none.
            prompt: States at the beginning that do not look at the encoder.
        """
        return self._branches(
            x,
            lambda y: self.self_attn(y, bias=bias, padding=padding),
            lambda y: self.cross_attn(y, memory, bias=memory_bias, padding=memory_padding),
            prompt,
        )

    def read_prompt(self, x: Tensor, cache: BiasedCache, bias: Tensor) -> Tensor:
        """One layer over a prompt, `(B, P, d) -> (B, P, d)`; writes the beginning of the cache.

        Args:
            x: States.
            cache: This layer's.
            bias: `(1, P, P)`, -inf where a key lies ahead.
        """
        count = x.shape[1]

        def look_back(y: Tensor) -> Tensor:
            cache.keys[:, :, :count], cache.values[:, :, :count] = self.self_attn.keys_values(y)
            return self.self_attn(y, bias=bias)

        return self._branches(x, look_back, lambda y: y, count)

    def step(
        self,
        x: Tensor,
        cache: BiasedCache,
        length: int,
        beams: int,
        pasts: Tensor | None,
        memory_mask: Tensor,
        prompt: int = 0,
    ) -> Tensor:
        """One layer over the beams' newest tokens, `(B, beams, d) -> (B, beams, d)`; writes the cache.

        Args:
            x: States; one row per image stands for all its beams.
            cache: This layer's.
            length: Steps already in the cache.
            beams: Beams per image.
            pasts: What `DecoderState.hidden_pasts` gave, for the rows of `x`.
            memory_mask: `(1 or B, H, 1, S)`, position bias and padding together.
            prompt: States of a prompt in the cache before the first step.
        """
        filled = prompt + (length + 1) * beams

        def look_back(y: Tensor) -> Tensor:
            attention = self.self_attn
            key, value = attention.keys_values(y)
            cache.keys[:, :, filled - beams : filled] = key
            cache.values[:, :, filled - beams : filled] = value
            bias = cache.bias[:, length, : length + 1].repeat_interleave(beams, -1)[None, :, None]
            mask = bias if pasts is None else bias + pasts
            mask = F.pad(mask, (prompt, 0)) if prompt else mask
            query = attention.split(attention.q_proj(y))
            past = cache.keys[:, :, :filled], cache.values[:, :, :filled]
            return attention.combine(attend(query, *past, mask, None, attention.scale, 0.0))

        def look_up(y: Tensor) -> Tensor:
            attention = self.cross_attn
            query = attention.split(attention.q_proj(y))
            memory = cache.memory_keys, cache.memory_values
            return attention.combine(attend(query, *memory, memory_mask, None, attention.scale, 0.0))

        return self._branches(x, look_back, look_up)


class Decoder(nn.Module):
    """The decoder with its embeddings; parameters have the stock names, those for image codes included.

    Attributes:
        prompt: Gives learned states `(P, d)` before the first token, where there is one. They have no position, and
            do not look at the encoder.

    Args:
        config: The model's configuration.
        embed_tokens: The token embedding, shared with the encoder.
    """

    def __init__(self, config: OFAConfig, embed_tokens: nn.Embedding) -> None:
        super().__init__()
        width, heads = config.d_model, config.decoder_attention_heads
        self.config = config
        self.prompt: nn.Module | None = None
        self.embed_scale = math.sqrt(width) if config.scale_embedding else 1.0
        self.pos_scaling = (width / heads * config.attn_scale_factor) ** -0.5
        self.embed_tokens = embed_tokens
        rates = drop_path_rates(config.decoder_drop_path_rate, config.decoder_layers)
        self.layers = nn.ModuleList(DecoderLayer(config, rate) for rate in rates)
        self.layernorm_embedding = nn.LayerNorm(width) if config.layernorm_embedding else None
        self.embed_positions = nn.Embedding(config.max_position_embeddings + 2, width)
        self.embed_image_positions = nn.Embedding(config.image_bucket_size**2 + 1, width)
        self.pos_ln = nn.LayerNorm(width)
        self.image_pos_ln = nn.LayerNorm(width)
        self.self_pos_q_linear = nn.Linear(width, width)
        self.self_pos_k_linear = nn.Linear(width, width)
        self.cross_pos_q_linear = nn.Linear(width, width)
        self.cross_pos_k_linear = nn.Linear(width, width)
        self.code_layernorm_embedding = nn.LayerNorm(width) if config.code_layernorm_embedding else None
        self.layer_norm = nn.LayerNorm(width) if config.decoder_normalize_before else None
        self.output_projection = nn.Linear(width, config.vocab_size, bias=False)
        if config.share_decoder_input_output_embed:
            self.output_projection.weight = embed_tokens.weight
        tables = 1 if config.share_attn_bias else config.decoder_layers
        rows = 2 * config.token_bucket_size - 1
        self.token_rel_pos_table_list = nn.ModuleList(nn.Embedding(rows, heads) for _ in range(tables))
        if config.use_image_feature:
            rows = image_distances(config.image_bucket_size)
            self.image_rel_pos_table_list = nn.ModuleList(nn.Embedding(rows, heads) for _ in range(tables))

    def forward(
        self, input_ids: Tensor, encoder_outputs: EncoderOutput, output_hidden_states: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Decode whole sequences.

        Args:
            input_ids: `(B, U)` int64, padded with `pad_token_id`.
            encoder_outputs: The encoder's, of the same batch.
            output_hidden_states: Keep the states of every layer.

        Returns:
            The normalised states `(B, U, d)`, and on request the input of the first layer and the output of every
            layer; otherwise the output of the last layer alone. None of these has passed the last norm.

        Raises:
            UsageError: A text is too long for the position table.
        """
        length = input_ids.shape[1]
        positions = text_positions(self.embed_positions, length)
        x = self._embed(input_ids, positions)
        with torch.autocast(x.device.type, enabled=False):
            bias_of = self._bias_maker(positions)
            memory_bias = self._memory_bias(positions, encoder_outputs.position_embedding)
        padded = input_ids.eq(self.config.pad_token_id)
        # Where asking would wait for the encoder, a mask that hides nothing costs less; the numbers are the same.
        wanted = padded.device.type != "cpu" or bool(padded.any())
        padding = padding_bias(padded, torch.float32) if wanted else None
        memory_padding = None
        if encoder_outputs.has_padding:
            memory_padding = padding_bias(encoder_outputs.padding_mask, torch.float32)
        prompt = None if self.prompt is None else self.prompt().to(x.dtype)
        count = 0 if prompt is None else len(prompt)
        if prompt is not None:
            x = torch.cat([prompt.expand(len(x), -1, -1), x], dim=1)
            padding = None if padding is None else F.pad(padding, (count, 0))
        states = [x[:, count:]]
        for index, layer in surviving_layers(self.layers, self.config.decoder_layerdrop, self.training):
            bias = bias_of(0 if self.config.share_attn_bias else index)
            bias = _with_prompt(bias, count) if count else bias
            x = layer(x, encoder_outputs.last_hidden_state, bias, padding, memory_bias, memory_padding, count)
            if output_hidden_states:
                states.append(x[:, count:])
        x = x[:, count:] if count else x
        normalised = self.layer_norm(x) if self.layer_norm is not None else x
        return normalised, tuple(states) if output_hidden_states else (x,)

    @torch.no_grad()
    def start(self, encoder_outputs: EncoderOutput, num_beams: int, max_length: int) -> DecoderState:
        """Begin to generate: project the encoder's states, compute every bias, and set up the caches.

        Args:
            encoder_outputs: The encoder's, one row per image.
            num_beams: Beams per image, at least 1.
            max_length: How many tokens will be put in at most, the start token included.

        Raises:
            UsageError: `num_beams` or `max_length` is under 1, or there are not so many positions.
        """
        if num_beams < 1 or max_length < 1:
            raise UsageError(f"expected num_beams and max_length of at least 1, found {num_beams} and {max_length}")
        memory, source = encoder_outputs.last_hidden_state, encoder_outputs.position_embedding
        positions = text_positions(self.embed_positions, max_length)
        bias_of = self._bias_maker(positions)
        prompt = None if self.prompt is None else self.prompt().to(memory.dtype).expand(len(memory), -1, -1)
        count = 0 if prompt is None else prompt.shape[1]
        layers = []
        for index, layer in enumerate(cast("list[DecoderLayer]", list(self.layers))):
            keys, values = layer.cross_attn.keys_values(memory)
            size = (len(memory), keys.shape[1], count + max_length * num_beams, keys.shape[3])
            bias = bias_of(0 if self.config.share_attn_bias else index)
            cache = keys.new_empty(size), keys.new_empty(size)
            layers.append(BiasedCache(*cache, keys.contiguous(), values.contiguous(), bias.to(keys.dtype)))
            if prompt is not None:
                prompt = layer.read_prompt(prompt, layers[-1], _ahead(count, keys.device).to(keys.dtype)[None])
        memory_bias = self._memory_bias(positions, source).to(layers[0].keys.dtype)
        padding = None
        if encoder_outputs.has_padding:
            padding = padding_bias(encoder_outputs.padding_mask, memory_bias.dtype)
        origins = torch.zeros(len(memory), num_beams, max_length, dtype=torch.int64, device=memory.device)
        return DecoderState(num_beams, max_length, 0, layers, padding, origins, memory_bias, positions, count)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """Put one token into every beam.

        Args:
            tokens: `(B * beams,)` int64, the newest token of every beam, the beams of an image side by side; in the
                first step `(B,)` will do, since the beams of an image begin alike.
            state: What `start` gave; it moves on by one step.

        Returns:
            Normalised states of the tokens, `(B * beams, d)` or `(B, d)`, to be multiplied with the output embedding.

        Raises:
            UsageError: The state has taken `max_length` tokens already.
        """
        if state.length >= state.max_length:
            raise UsageError(f"the decoder state was made for {state.max_length} tokens and is full")
        at = state.length
        rows = 1 if at == 0 and len(tokens) == state.batch_size else state.num_beams
        x = self._embed(tokens.view(state.batch_size, rows), state.positions[at])
        pasts = state.hidden_pasts(state.memory_bias.dtype)
        pasts = pasts if pasts is None else pasts[:, :, :rows]
        memory_mask = state.memory_bias[None, :, at : at + 1]
        if state.memory_padding is not None:
            memory_mask = memory_mask + state.memory_padding
        for layer, cache in zip(
            cast("list[DecoderLayer]", list(self.layers)), cast("list[BiasedCache]", state.layers), strict=True
        ):
            x = layer.step(x, cache, at, state.num_beams, pasts, memory_mask, state.prompt)
        state.length += 1
        return (self.layer_norm(x) if self.layer_norm is not None else x).flatten(0, 1)

    def _embed(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        x = look_up(self.embed_tokens, input_ids)
        if self.embed_scale != 1.0:
            x = x * self.embed_scale
        if self.config.entangle_position_embedding and not self.config.disable_entangle:
            x = x + positions
        if self.layernorm_embedding is not None:
            x = self.layernorm_embedding(x)
        return dropout(x, self.config.dropout, self.training)

    def _bias_maker(self, positions: Tensor) -> Callable[[int], Tensor]:
        """The function that gives each table's bias, `(H, U, U)`, with -inf where a key lies ahead of its query."""
        length = len(positions)
        normal = self.pos_ln(positions)
        q, k = self.self_pos_q_linear(normal), self.self_pos_k_linear(normal)
        absolute = position_bias(q, k, self.config.decoder_attention_heads, self.pos_scaling)
        ahead = torch.ones(length, length, dtype=torch.bool, device=positions.device).triu(1)
        absolute = absolute.masked_fill(ahead, -torch.inf)
        buckets = token_buckets(length, self.config.token_bucket_size, positions.device)

        def bias_of(index: int) -> Tensor:
            return absolute + relative_bias(bias_table(self.token_rel_pos_table_list, index), buckets)

        return functools.cache(bias_of) if self.config.share_attn_bias else bias_of

    def _memory_bias(self, positions: Tensor, source: Tensor) -> Tensor:
        q, k = self.cross_pos_q_linear(self.pos_ln(positions)), self.cross_pos_k_linear(source)
        return position_bias(q, k, self.config.decoder_attention_heads, self.pos_scaling)


def _ahead(length: int, device: torch.device) -> Tensor:
    """`(length, length)`: -inf where a key lies ahead of its query, 0 elsewhere."""
    return torch.full((length, length), -torch.inf, device=device).triu(1)


def _with_prompt(bias: Tensor, count: int) -> Tensor:
    """The bias of words, `(H, U, U)`, with a prompt before them, which they all see and which sees none of them."""
    wider = F.pad(bias, (count, 0, count, 0))
    wider[:, :count] = _ahead(wider.shape[-1], bias.device)[:count]
    return wider


class DecoderSteps:
    """A decoder and its state in the middle of a generation, as `ofakit.models.generation` wants them: a `Stepper`.

    Args:
        decoder: Of a model.
        state: What its `start` gave.
    """

    def __init__(self, decoder: Decoder, state: DecoderState) -> None:
        self.decoder = decoder
        self.state = state

    def step(self, tokens: Tensor) -> Tensor:
        """As `Decoder.step`.

        Args:
            tokens: `(B * beams,)` int64, or `(B,)` in the first step.
        """
        return self.decoder.step(tokens, self.state)

    def reorder(self, index: Tensor) -> None:
        """As `DecoderState.reorder`.

        Args:
            index: `(B * beams,)` int64.
        """
        self.state.reorder(index)

    def select(self, examples: Tensor) -> None:
        """As `DecoderState.select`.

        Args:
            examples: `(N,)` int64, positions among the B images.
        """
        self.state.select(examples)

"""VL-T5 and VL-BART as one model: text and regions in, the scores of the next tokens out.

    model = VLModel(VLConfig(**config)).eval()
    model.load_stock_state_dict(tensors)
    model(input_ids=ids, vis_feats=features, boxes=boxes, labels=targets).loss

It keeps `ofakit.models.base.Seq2SeqModel`, so that it can be trained, frozen by its parts and generated from.
Source: j-min/VL-T5 a07d779 and ylsung/VL_adapter 545fcbb, `VL-T5/src/modeling_t5.py`, `modeling_bart.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.models.adapters import add_adapters
from ofakit.models.adapters.tasks import using_task
from ofakit.models.base import Seq2SeqModel
from ofakit.models.generation.protocol import SearchRules, SpecialTokens
from ofakit.models.packed_linear import PackedLinear, pack_linear_layers, packs
from ofakit.models.vl.checkpoints import load_checkpoint, save_directory
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.decoder import Decoder, DecoderState
from ofakit.models.vl.encoder import Encoder, EncoderOutput
from ofakit.models.vl.initialization import initialize
from ofakit.models.vl.stock_names import own_names, stock_name

__all__ = ["VLModel", "VLOutput"]

INPUTS = ("input_ids", "vis_feats", "boxes", "vis_attention_mask", "img_order_ids", "obj_order_ids", "task")
"""What `encode` takes of a batch."""

IGNORED = -100
"""Stands in labels where nothing is to be learnt."""


@dataclass
class VLOutput:
    """What a forward pass gives; S is the length of prompt, text and regions.

    Attributes:
        logits: `(B, U, V)`.
        encoder_last_hidden_state: `(B, S, d)`; T5's is normalised.
        encoder_padding_mask: `(B, S)` bool, True where nothing stands.
        decoder_last_hidden_state: `(B, U, d)`; T5's is normalised, and not yet divided by the root of d.
        encoder_hidden_states: On request what the first layer reads and what every layer gives.
        loss: Mean over the tokens of `labels`, where these are given.
    """

    logits: Tensor
    encoder_last_hidden_state: Tensor
    encoder_padding_mask: Tensor
    decoder_last_hidden_state: Tensor
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    loss: Tensor | None = None


class VLModel(Seq2SeqModel):
    """A language model that reads regions of images beside a text.

    Args:
        config: What it is made of. Weights are initialised as the original code does; with `adapter` these are added
            and all else is frozen but for what their keys name.
    """

    final_logits_bias: Tensor

    def __init__(self, config: VLConfig) -> None:
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Encoder(config, self.shared)
        self.decoder = Decoder(config, self.shared)
        self.lm_head = None
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if not config.is_t5:
            self.register_buffer("final_logits_bias", torch.zeros(1, config.vocab_size))
        self.state_scale = config.d_model**-0.5 if config.is_t5 and config.scale_decoder_outputs else 1.0
        self.packed_projection: PackedLinear | None = None
        initialize(self, config)
        if config.adapter is not None:
            add_adapters(self, config.adapter)

    @property
    def special_tokens(self) -> SpecialTokens:
        """The ids that sequences start with, of pad and of eos."""
        config = self.config
        return SpecialTokens(config.decoder_start_token_id, config.pad_token_id, config.eos_token_id)

    @property
    def search_rules(self) -> SearchRules:
        """Those of Hugging Face's transformers."""
        forced = self.config.forced_eos_token_id
        return SearchRules(transformers=True, forced_eos=forced is not None and forced == self.config.eos_token_id)

    @property
    def output_embedding(self) -> Tensor:
        """The `(V, d)` matrix that turns what `decode` gives into logits."""
        return self.shared.weight if self.lm_head is None else self.lm_head.weight

    @property
    def output_bias(self) -> Tensor | None:
        """BART's `final_logits_bias`, `(V,)`; none where it is zero, as in all that were released."""
        return None if self.config.is_t5 or not self.final_logits_bias.any() else self.final_logits_bias[0]

    @property
    def project(self) -> Callable[[Tensor], Tensor] | None:
        """The packed output projection of a copy made by `prepare_for_inference`, or none."""
        return self.packed_projection

    @property
    def reads_regions(self) -> bool:
        """Images are read as features of their regions."""
        return True

    def decoder_starts_with(self, token: int) -> None:
        """Let sequences start with another token, such as that which the targets of a training are shifted behind.

        Args:
            token: Its id.
        """
        self._replace_config(decoder_start_token_id=token)

    def prepare_for_inference(self, precision: str = "fp32") -> VLModel:
        """As every model's; on a CPU the weights of its linear layers are laid out for the processor.

        Args:
            precision: `fp32`, `bf16` or `fp16`.

        Raises:
            UsageError: There is no such precision.
        """
        fast = cast(VLModel, super().prepare_for_inference(precision))
        table = fast.output_embedding
        if packs(table.device, table.dtype):
            with torch.inference_mode():
                pack_linear_layers(fast.encoder)
                pack_linear_layers(fast.decoder)
                fast.packed_projection = PackedLinear(table.detach(), None)
        return fast

    def _replace_config(self, **keys: Any) -> None:
        config = self.config.replace(**keys)
        for owner in (self, self.encoder, self.decoder, self.encoder.visual_embedding):
            owner.config = config

    def token_embeddings(self) -> list[Tensor]:
        """The token table, and the output projection where that is a matrix of its own."""
        return [self.shared.weight, *([] if self.lm_head is None else [self.lm_head.weight])]

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """What can be frozen.

        `visual`: the projection of regions. `embeddings`: the token table and the output projection. `encoder`: all of
        it but the table, `visual` included. `language_model`: everything but `visual`.
        """
        tables: list[nn.Module] = [self.shared, *([] if self.lm_head is None else [self.lm_head])]
        beside = {"embed_tokens", "visual_embedding"}
        layers = [module for name, module in self.encoder.named_children() if name not in beside]
        visual: list[nn.Module] = [self.encoder.visual_embedding]
        return {
            "visual": visual,
            "embeddings": tables,
            "encoder": [*visual, *layers],
            "language_model": [*tables, *layers, self.decoder],
        }

    def encoder_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What `encode` takes of a batch: the text, regions where there are any, and the task.

        Args:
            batch: `input_ids` `(B, L)`, and those of `vis_feats`, `boxes`, `vis_attention_mask`, `img_order_ids`,
                `obj_order_ids` and `task` that are there.

        Raises:
            UsageError: There are no `input_ids`.
        """
        if batch.get("input_ids") is None:
            raise UsageError(f"inputs: expected input_ids, vis_feats and boxes, found {', '.join(batch)}")
        return {name: batch[name] for name in INPUTS if batch.get(name) is not None}

    def encode(
        self,
        input_ids: Tensor,
        vis_feats: Tensor | None = None,
        boxes: Tensor | None = None,
        vis_attention_mask: Tensor | None = None,
        img_order_ids: Tensor | None = None,
        obj_order_ids: Tensor | None = None,
        task: str | None = None,
        output_hidden_states: bool = False,
    ) -> EncoderOutput:
        """Run the encoder; its result can be decoded several times.

        Args:
            input_ids: `(B, L)` int64, padded with `pad_token_id`.
            vis_feats: `(B, N, f)` features of regions, or none for text alone.
            boxes: `(B, N, 4)`: x1, y1, x2, y2 as fractions of the image; none for a grid.
            vis_attention_mask: `(B, N)`, nonzero where a region stands; none: everywhere.
            img_order_ids: `(B, N)` int64, which image of the example a region is of; none: one image.
            obj_order_ids: `(B, N)` int64, a region's place in its image; none: 0 to N - 1.
            task: Whose adapters to use, where tasks have their own.
            output_hidden_states: Keep the states of every layer.

        Raises:
            UsageError: A text is too long, features are of another width, or no adapter is for the task.
        """
        regions = (vis_feats, boxes, vis_attention_mask, img_order_ids, obj_order_ids)
        with using_task(self, task):
            return self.encoder(input_ids, *regions, output_hidden_states, task)

    def decode(self, decoder_input_ids: Tensor, encoder_outputs: EncoderOutput) -> Tensor:
        """Run the decoder without the output projection.

        Args:
            decoder_input_ids: `(B, U)` int64.
            encoder_outputs: What `encode` gave for the same batch.

        Returns:
            `(B, U, d)`; T5's are divided by the root of d, so that a product with the table gives the logits.

        Raises:
            UsageError: A text is too long for the position table.
        """
        return self._states(decoder_input_ids, encoder_outputs) * self.state_scale

    def _states(self, decoder_input_ids: Tensor, encoder_outputs: EncoderOutput) -> Tensor:
        with using_task(self, encoder_outputs.task):
            return self.decoder(decoder_input_ids, encoder_outputs)

    def start(self, encoder_outputs: EncoderOutput, rows: int, max_length: int) -> VLSteps:
        """The decoder with a cache of fixed size, for generation.

        Args:
            encoder_outputs: What `encode` gave.
            rows: Beams or samples per example.
            max_length: How many tokens will be put in at most, the start token included.

        Raises:
            UsageError: `rows` or `max_length` is under 1, or there are not so many positions.
        """
        with using_task(self, encoder_outputs.task):
            return VLSteps(self, self.decoder.start(encoder_outputs, rows, max_length), encoder_outputs.task)

    def forward(
        self,
        input_ids: Tensor | None = None,
        vis_feats: Tensor | None = None,
        boxes: Tensor | None = None,
        labels: Tensor | None = None,
        task: str | None = None,
        decoder_input_ids: Tensor | None = None,
        vis_attention_mask: Tensor | None = None,
        img_order_ids: Tensor | None = None,
        obj_order_ids: Tensor | None = None,
        encoder_outputs: EncoderOutput | None = None,
        output_hidden_states: bool = False,
    ) -> VLOutput:
        """Scores of every next token, and the loss of labels.

        Args:
            input_ids: As in `encode`; not needed with `encoder_outputs`.
            vis_feats: As in `encode`.
            boxes: As in `encode`.
            labels: `(B, U)` int64, -100 or padding where nothing is to be learnt; the decoder reads them shifted right.
            task: As in `encode`.
            decoder_input_ids: `(B, U)` int64, instead of the labels shifted right.
            vis_attention_mask: As in `encode`.
            img_order_ids: As in `encode`.
            obj_order_ids: As in `encode`.
            encoder_outputs: What `encode` gave, to run the decoder alone.
            output_hidden_states: Keep the states of the encoder's layers.

        Raises:
            UsageError: Neither labels nor `decoder_input_ids` are there, or neither `input_ids` nor `encoder_outputs`.
        """
        if encoder_outputs is None and input_ids is not None:
            regions = (vis_feats, boxes, vis_attention_mask, img_order_ids, obj_order_ids)
            encoder_outputs = self.encode(input_ids, *regions, task, output_hidden_states)
        if decoder_input_ids is None and labels is not None:
            decoder_input_ids = self.shifted(labels)
        if decoder_input_ids is None or encoder_outputs is None:
            raise UsageError("expected labels or decoder_input_ids, and either input_ids or encoder_outputs")
        states = self._states(decoder_input_ids, encoder_outputs)
        logits = F.linear(states * self.state_scale, self.output_embedding, self.output_bias)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        hidden = encoder_outputs.hidden_states
        encoded = encoder_outputs.last_hidden_state, encoder_outputs.padding_mask
        return VLOutput(logits, *encoded, states, hidden, loss)

    def shifted(self, labels: Tensor) -> Tensor:
        """What the decoder reads to predict labels: the start token, then all labels but the last.

        Args:
            labels: `(B, U)` int64.

        Returns:
            `(B, U)`, padding where labels are -100.
        """
        config = self.config
        moved = F.pad(labels[:, :-1], (1, 0), value=config.decoder_start_token_id)
        return moved.masked_fill(moved == IGNORED, config.pad_token_id)

    def load_stock_state_dict(self, state_dict: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
        """Take over weights under the names of the original code, of Hugging Face's T5 and BART, or ours.

        Args:
            state_dict: Tensors by name. One of the names of the token table stands for all.

        Returns:
            The missing and the unexpected names, sorted; the missing ones are ours.

        Raises:
            UsageError: A tensor has another shape than the model's.
        """
        own = self.state_dict()
        names = own_names(state_dict, own, self.config)
        tensors = {name: state_dict[key] for key, name in names.items()}
        wrong = [
            f"{key}: expected {tuple(own[name].shape)}, found {tuple(state_dict[key].shape)}"
            for key, name in sorted(names.items())
            if own[name].shape != state_dict[key].shape
        ]
        if wrong:
            raise UsageError("the checkpoint does not fit the model: " + "; ".join(wrong))
        self.load_state_dict(tensors, strict=False)
        return self.missing_and_unexpected(state_dict)

    def missing_and_unexpected(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """Compare a checkpoint's names with the model's; one of several shared tensors stands for all.

        Args:
            keys: Those of a checkpoint.

        Returns:
            The missing and the unexpected names, sorted.
        """
        keys, own = list(keys), self.state_dict(keep_vars=True)
        names = own_names(keys, own, self.config)
        there = {id(own[name]) for name in names.values()}
        missing = [name for name, value in own.items() if id(value) not in there and name != "final_logits_bias"]
        return sorted(missing), sorted(set(keys) - names.keys())

    def stock_state_dict(self) -> dict[str, Tensor]:
        """Every tensor under the names of the original code, the token table once; adapters under ours."""
        kept: dict[int, str] = {}
        own = self.state_dict(keep_vars=True)
        for name, value in own.items():
            kept.setdefault(id(value), name)
        return {stock_name(name, self.config): own[name].detach() for name in kept.values()}

    def resize_token_embeddings(self, vocab_size: int) -> None:
        """Grow or shrink the vocabulary; rows that stay keep their numbers, new ones are initialised.

        Args:
            vocab_size: The new size.
        """
        old = self.shared.weight
        if vocab_size == len(old):
            return
        kept = min(vocab_size, len(old))
        std = self.config.init_std
        owners: list[Any] = [self.shared, *([] if self.lm_head is None else [self.lm_head])]
        for owner in owners:
            before = owner.weight
            rows = before.new_empty(vocab_size, before.shape[1]).normal_(std=std)
            rows[:kept] = before.detach()[:kept]
            owner.weight = nn.Parameter(rows, requires_grad=before.requires_grad)
        self.shared.num_embeddings = vocab_size
        if not self.config.is_t5:
            self.final_logits_bias = F.pad(self.final_logits_bias[:, :kept], (0, vocab_size - kept))
        self._replace_config(vocab_size=vocab_size, region_rows=min(self.config.region_rows or len(old), vocab_size))

    @classmethod
    def from_pretrained(cls, directory: str | Path, allow_partial: bool = False) -> VLModel:
        """Read a model directory: ours, or Hugging Face's T5 or BART, whose projection of regions starts over.

        Args:
            directory: With `config.json` and the weights.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit the configuration.
        """
        model = cls(VLConfig.from_pretrained(directory))
        load_checkpoint(model, directory, allow_partial=allow_partial)
        return model.eval()

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and the weights, under the names of the original code.

        Args:
            directory: Where to; made if it is not there.
        """
        save_directory(self, directory)


class VLSteps:
    """A decoder and its state in the middle of a generation, as `ofakit.models.generation` wants them: a `Stepper`.

    Args:
        model: The model.
        state: What its decoder's `start` gave.
        task: Whose adapters to use.
    """

    def __init__(self, model: VLModel, state: DecoderState, task: str | None) -> None:
        self.model, self.state, self.task = model, state, task

    def step(self, tokens: Tensor) -> Tensor:
        """As `Decoder.step`, T5's states divided by the root of d.

        Args:
            tokens: `(B * beams,)` int64, or `(B,)` in the first step.
        """
        with using_task(self.model, self.task):
            return self.model.decoder.step(tokens, self.state) * self.model.state_scale

    def reorder(self, index: Tensor) -> None:
        """As `BeamCache.reorder`.

        Args:
            index: `(B * beams,)` int64.
        """
        self.state.reorder(index)

    def select(self, examples: Tensor) -> None:
        """As `BeamCache.select`.

        Args:
            examples: `(N,)` int64, positions among the B examples.
        """
        self.state.select(examples)

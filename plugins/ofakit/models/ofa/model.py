"""The whole model, with the stock state-dict names.

    model = OFAModel.from_pretrained("work_dir/run/output")
    logits = model(input_ids=ids, patch_images=images, patch_masks=there, decoder_input_ids=previous).logits

Source: ModelScope 1.40.2, `models/multi_modal/ofa/modeling_ofa.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.models.base import Model
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.ofa.decoder import Decoder
from ofakit.models.ofa.encoder import Encoder, EncoderOutput
from ofakit.models.ofa.layers import initialize
from ofakit.models.ofa.positions import MAX_POSITIONS, stock_image_table, token_buckets

__all__ = ["OFAModel", "OFAOutput"]

TABLES = ("image_rp_bucket", "token_rp_bucket", "image_position_idx")
"""Integer tables that stock checkpoints carry and that this model computes."""


@dataclass
class OFAOutput:
    """What a forward pass gives; S is the encoder's length.

    Attributes:
        logits: `(B, U, V)`.
        encoder_last_hidden_state: `(B, S, d)`, normalised.
        encoder_padding_mask: `(B, S)` bool, True where nothing stands.
        decoder_last_hidden_state: `(B, U, d)`, the output of the last layer before the decoder's last norm.
        encoder_hidden_states: On request the input of the first layer and the output of every layer, before the norm.
        decoder_hidden_states: As `encoder_hidden_states`; its last is `decoder_last_hidden_state`.
    """

    logits: Tensor
    encoder_last_hidden_state: Tensor
    encoder_padding_mask: Tensor
    decoder_last_hidden_state: Tensor
    encoder_hidden_states: tuple[Tensor, ...] | None = None
    decoder_hidden_states: tuple[Tensor, ...] | None = None


class OFAModel(Model):
    """OFA: an image and a text in, the scores of the next tokens out.

    Args:
        config: What it is made of. Weights are initialised as the stock code does.
    """

    def __init__(self, config: OFAConfig) -> None:
        super().__init__()
        self.config = config
        shared = nn.Embedding(config.vocab_size, config.d_model, config.pad_token_id)
        self.encoder = Encoder(config, shared)
        self.decoder = Decoder(config, shared)
        if not config.exclude_mlp:
            self.mlp_head = nn.Linear(config.d_model, config.mlp_dim)
        if config.temperature_init_value:
            self.temp = nn.Parameter(torch.tensor(float(config.temperature_init_value)))
        self.apply(lambda module: initialize(module, config.init_std))
        if config.resnet_model_path and config.use_image_feature:
            from ofakit.models.ofa.checkpoints import load_state_dict_file

            self.encoder.embed_images.load_state_dict(load_state_dict_file(config.resnet_model_path))

    @property
    def special_tokens(self):
        from ofakit.models.generation.protocol import SpecialTokens

        c = self.config
        return SpecialTokens(c.bos_token_id, c.pad_token_id, c.eos_token_id)

    def token_embeddings(self):
        return list({self.output_embedding, self.encoder.embed_tokens.weight})

    def start(self, encoder_outputs, rows, max_length):
        raise NotImplementedError

    def parts(self):
        if not self.config.use_image_feature:
            return {"embeddings": []}
        return {"visual": [self.encoder.embed_images], "embeddings": []}

    def freeze(self, parts):
        from ofakit.models.ofa.freezing import freeze

        return freeze(self, parts)

    def encoder_inputs(self, batch):
        from ofakit.models.ofa.inputs import image_inputs

        return {"input_ids": batch["input_ids"], **image_inputs(batch)}

    def with_frozen_features(self, batch):
        from ofakit.models.ofa.inputs import shown_once

        return shown_once(self, batch)

    def prepare_for_inference(self, precision="fp32"):
        from ofakit.models.ofa.inference import prepare_for_inference

        return prepare_for_inference(self, precision)

    @property
    def output_embedding(self) -> Tensor:
        """The `(V, d)` matrix that turns normalised decoder states into logits."""
        return self.decoder.output_projection.weight

    def encode(
        self,
        input_ids: Tensor,
        patch_images: Tensor | None = None,
        patch_masks: Tensor | None = None,
        output_hidden_states: bool = False,
        patch_features: Tensor | None = None,
        image_index: Tensor | None = None,
    ) -> EncoderOutput:
        """Run the encoder; its result can be decoded several times.

        Args:
            input_ids: `(B, T)` int64, padded with `pad_token_id`.
            patch_images: `(B, 3, H, W)` normalised floats, or none for text alone.
            patch_masks: `(B,)` bool, False where an image is missing; none means that all are there.
            output_hidden_states: Keep the states of every layer.
            patch_features: `(B, 1024, h, w)`, what `visual_features` gave for the images, instead of these.
            image_index: `(B,)` int64, which of the images each text is about; none: one image a text.

        Raises:
            UsageError: A text or image is too large for the position tables, or the model takes no images.
        """
        return self.encoder(input_ids, patch_images, patch_masks, output_hidden_states, patch_features, image_index)

    def visual_features(self, patch_images: Tensor) -> Tensor:
        """Run the visual backbone alone; a frozen one (`visual_frozen`) gives the same in every mode.

        Args:
            patch_images: `(B, 3, H, W)` normalised floats.

        Returns:
            `(B, 1024, h, w)`, for `encode`.

        Raises:
            UsageError: The model takes no images.
        """
        return self.encoder.visual_features(patch_images)

    @property
    def visual_frozen(self) -> bool:
        """Whether `freeze` has stopped the visual backbone from learning."""
        return self.encoder.visual_frozen

    def decode(self, decoder_input_ids: Tensor, encoder_outputs: EncoderOutput) -> Tensor:
        """Run the decoder without the output projection.

        Args:
            decoder_input_ids: `(B, U)` int64, padded with `pad_token_id`.
            encoder_outputs: What `encode` gave for the same batch.

        Returns:
            `(B, U, d)` normalised states; `states @ model.output_embedding.t()` are the logits.

        Raises:
            UsageError: A text is too long for the position table.
        """
        return self.decoder(decoder_input_ids, encoder_outputs)[0]

    def forward(
        self,
        input_ids: Tensor | None = None,
        patch_images: Tensor | None = None,
        patch_masks: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: EncoderOutput | None = None,
        output_hidden_states: bool = False,
    ) -> OFAOutput:
        """Scores of every next token.

        Args:
            input_ids: `(B, T)` int64; not needed with `encoder_outputs`.
            patch_images: `(B, 3, H, W)` normalised floats, or none for text alone.
            patch_masks: `(B,)` bool, False where an image is missing.
            decoder_input_ids: `(B, U)` int64, the target shifted right.
            encoder_outputs: What `encode` gave, to run the decoder alone.
            output_hidden_states: Keep the states of every layer.

        Raises:
            UsageError: `decoder_input_ids` is missing, or `input_ids` as well as `encoder_outputs`; or a text or
                image is too large for the position tables.
        """
        if decoder_input_ids is None or (input_ids is None and encoder_outputs is None):
            raise UsageError("expected decoder_input_ids and either input_ids or encoder_outputs")
        if encoder_outputs is None:
            encoder_outputs = self.encode(input_ids, patch_images, patch_masks, output_hidden_states)
        hidden, states = self.decoder(decoder_input_ids, encoder_outputs, output_hidden_states)
        return OFAOutput(
            logits=F.linear(hidden, self.output_embedding),
            encoder_last_hidden_state=encoder_outputs.last_hidden_state,
            encoder_padding_mask=encoder_outputs.padding_mask,
            decoder_last_hidden_state=states[-1],
            encoder_hidden_states=encoder_outputs.hidden_states,
            decoder_hidden_states=states if output_hidden_states else None,
        )

    def load_stock_state_dict(self, state_dict: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
        """Take over weights under the stock names; integer bucket tables are accepted and not needed.

        Args:
            state_dict: Tensors by name. Where only one of the shared token embeddings is there it stands for all.

        Returns:
            The missing and the unexpected keys, sorted. A tensor of another shape is an error.

        Raises:
            UsageError: A tensor has another shape than the model's.
        """
        own = self.state_dict()
        wrong = [
            f"{key}: expected {tuple(own[key].shape)}, found {tuple(value.shape)}"
            for key, value in sorted(state_dict.items())
            if key in own and own[key].shape != value.shape
        ]
        if wrong:
            raise UsageError("the checkpoint does not fit the model: " + "; ".join(wrong))
        self.load_state_dict({key: value for key, value in state_dict.items() if key in own}, strict=False)
        return self.missing_and_unexpected(state_dict)

    def missing_and_unexpected(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """Compare a checkpoint's keys with the model's; one of several shared tensors stands for all.

        Args:
            keys: Those of a checkpoint; integer bucket tables count as neither missing nor unexpected.

        Returns:
            The missing and the unexpected keys, sorted.
        """
        own = self.state_dict(keep_vars=True)
        given = {key for key in keys if key.rsplit(".", 1)[-1] not in TABLES}
        there = {id(own[key]) for key in given if key in own}
        missing = [key for key, value in own.items() if key not in given and id(value) not in there]
        return sorted(missing), sorted(given - own.keys())

    def stock_state_dict(self) -> dict[str, Tensor]:
        """Every tensor of a stock checkpoint; the stock code's own loader wants the integer tables, too."""
        config = self.config
        tables = {f"{side}.token_rp_bucket": token_buckets(MAX_POSITIONS, config.token_bucket_size) for side in _SIDES}
        if config.use_image_feature:
            table = stock_image_table(config.image_bucket_size)
            tables |= {f"{side}.image_rp_bucket": table for side in _SIDES}
            window = config.code_image_size // 8
            patches = (torch.arange(window)[:, None] * config.image_bucket_size + torch.arange(window) + 1).flatten()
            ends = patches.new_zeros(1), patches.new_full((MAX_POSITIONS - 256,), MAX_POSITIONS)
            tables["decoder.image_position_idx"] = torch.cat([ends[0], patches, ends[1]])
        return {**self.state_dict(), **tables}

    def resize_token_embeddings(self, vocab_size: int) -> None:
        """Grow or shrink the vocabulary; rows that stay keep their numbers, new ones are initialised.

        Args:
            vocab_size: The new size.
        """
        config, old = self.config, self.encoder.embed_tokens.weight
        if vocab_size == len(old):
            return
        shared = nn.Embedding(vocab_size, config.d_model, config.pad_token_id)
        shared.to(device=old.device, dtype=old.dtype)
        initialize(shared, config.init_std)
        projection = self.decoder.output_projection
        weight = shared.weight
        if not config.share_decoder_input_output_embed:
            weight = nn.Parameter(torch.empty_like(shared.weight).normal_(std=config.init_std))
        kept = min(vocab_size, len(old))
        with torch.no_grad():
            shared.weight[:kept] = old[:kept]
            weight[:kept] = projection.weight[:kept]
        shared.weight.requires_grad_(old.requires_grad)
        self.encoder.embed_tokens = self.decoder.embed_tokens = shared
        projection.weight = weight
        projection.out_features = vocab_size
        self.config = self.encoder.config = self.decoder.config = config.replace(vocab_size=vocab_size)

    @classmethod
    def from_pretrained(cls, directory: str | Path, allow_partial: bool = False) -> OFAModel:
        """Read a Hugging Face or ModelScope model directory.

        Args:
            directory: With `config.json` and the weights.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit the configuration.
        """
        from ofakit.models.ofa.checkpoints import load_checkpoint

        config = OFAConfig.from_pretrained(directory)
        model = cls(config.replace(resnet_model_path=None))
        load_checkpoint(model, directory, allow_partial=allow_partial)
        return model.eval()

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and the weights so that this class and the stock code can load them.

        Args:
            directory: Where to; made if it is not there.
        """
        from ofakit.models.ofa.checkpoints import save_modelscope

        save_modelscope(self, directory)


_SIDES = ("encoder", "decoder")

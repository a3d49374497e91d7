"""The whole model, with the stock state-dict names.

    model = OFAModel.from_pretrained("work_dir/run/output")
    logits = model(input_ids=ids, patch_images=images, patch_masks=there, decoder_input_ids=previous).logits

It keeps `ofakit.models.base.Seq2SeqModel`, so that it can be trained, frozen by its parts and generated from.
Source: ModelScope 1.40.2, `models/multi_modal/ofa/modeling_ofa.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.errors import UsageError
from ofakit.models.adapters.adding import add_adapters
from ofakit.models.base import Model, Seq2SeqModel
from ofakit.models.filled_model import filled
from ofakit.models.generation.protocol import SpecialTokens
from ofakit.models.ofa.checkpoints import load_checkpoint, load_state_dict_file, save_modelscope
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.ofa.decoder import Decoder, DecoderSteps
from ofakit.models.ofa.encoder import Encoder, EncoderOutput
from ofakit.models.ofa.layers import initialize
from ofakit.models.ofa.packing import speed_up
from ofakit.models.ofa.positions import MAX_POSITIONS, stock_image_table, token_buckets
from ofakit.models.onednn import use_onednn
from ofakit.models.packed_linear import PackedLinear
from ofakit.models.pixels import PixelNorm
from ofakit.models.precision import dtype_named
from ofakit.models.timm_backbone import TimmBackbone

__all__ = ["OFAModel", "OFAOutput", "freeze", "prepare_for_inference"]

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


class OFAModel(Seq2SeqModel):
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
        self.packed_projection: PackedLinear | None = None
        _initialize(self, config.init_std)
        if config.resnet_model_path and self.encoder.embed_images is not None:
            self.encoder.embed_images.load_state_dict(load_state_dict_file(config.resnet_model_path))
        if config.adapter is not None:
            add_adapters(self, config.adapter)

    @property
    def pixel_norm(self) -> PixelNorm | None:
        """That of a timm network, which normalises images by itself; none for OFA's own ResNet."""
        backbone = self.encoder.embed_images
        return backbone.pixels if isinstance(backbone, TimmBackbone) else None

    @property
    def output_embedding(self) -> Tensor:
        """The `(V, d)` matrix that turns normalised decoder states into logits."""
        return self.decoder.output_projection.weight

    def token_embeddings(self) -> list[Tensor]:
        """The output embedding, and the input's where that is a matrix of its own."""
        shared = self.encoder.embed_tokens.weight
        return [shared] if shared is self.output_embedding else [shared, self.output_embedding]

    @property
    def special_tokens(self) -> SpecialTokens:
        """The ids of bos, pad and eos, as the configuration has them."""
        config = self.config
        return SpecialTokens(config.bos_token_id, config.pad_token_id, config.eos_token_id)

    @property
    def project(self) -> Callable[[Tensor], Tensor] | None:
        """The packed output projection of a copy made by `prepare_for_inference`, or none."""
        return self.packed_projection

    def encoder_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What `encode` takes of a batch: the text, and what shows the images where there are any.

        Args:
            batch: `input_ids` `(B, T)`, and with images `patch_masks` `(B,)` and `patch_images` `(B, 3, H, W)`, or
                `patch_features`, which stand for these. A stock sample with a `net_input` will do.

        Returns:
            Those that are there, `input_ids` first.

        Raises:
            UsageError: There are no `input_ids`.
        """
        batch = batch.get("net_input", batch)
        if batch.get("input_ids") is None:
            raise UsageError(f"inputs: expected input_ids, patch_images and patch_masks, found {', '.join(batch)}")
        shown = "patch_images" if batch.get("patch_features") is None else "patch_features"
        return {name: batch[name] for name in ("input_ids", shown, "patch_masks") if batch.get(name) is not None}

    def seen_by_texts(self, batch: Mapping[str, Any], image_index: Tensor) -> dict[str, Any]:
        """What `encode` takes of a batch where several texts are asked about an image each, but for the texts.

        Args:
            batch: As made by a collator, of each image once.
            image_index: `(N,)` int64, which image of the batch each text is about.

        Returns:
            The images once, and which of them each text is about: the backbone sees none of them twice.
        """
        inputs = {name: value for name, value in self.encoder_inputs(batch).items() if name != "input_ids"}
        return {**inputs, "image_index": image_index}

    @torch.no_grad()
    def with_frozen_features(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """The batch with `patch_features` where the backbone is frozen and there are images; else as it is.

        A frozen backbone gives the same to every pass of a step, bit for bit, so it need see the images only once.

        Args:
            batch: On the model's device.
        """
        if not self.visual_frozen or batch.get("patch_images") is None:
            return batch
        return {**batch, "patch_features": self.visual_features(batch["patch_images"])}

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
            patch_images: `(B, 3, H, W)` normalised floats, or bytes where it `takes_bytes`; none for text alone.
            patch_masks: `(B,)` bool, False where an image is missing; none means that all are there.
            output_hidden_states: Keep the states of every layer.
            patch_features: `(B, C, h, w)`, what `visual_features` gave for the images, instead of these.
            image_index: `(B,)` int64, which of the images each text is about; none: one image a text.

        Raises:
            UsageError: A text or image is too large for the position tables, or the model takes no images.
        """
        return self.encoder(input_ids, patch_images, patch_masks, output_hidden_states, patch_features, image_index)

    def visual_features(self, patch_images: Tensor) -> Tensor:
        """Run the visual backbone alone; a frozen one (`visual_frozen`) gives the same in every mode.

        Args:
            patch_images: `(B, 3, H, W)` normalised floats, or bytes where it `takes_bytes`.

        Returns:
            `(B, C, h, w)`, for `encode`; C is 1024 for OFA's ResNet.

        Raises:
            UsageError: The model takes no images.
        """
        return self.encoder.visual_features(patch_images)

    @property
    def visual_frozen(self) -> bool:
        """Whether `freeze` has stopped the visual backbone from learning."""
        return self.encoder.visual_frozen

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """What can be frozen.

        `visual`: the ResNet or the timm network, where there is one. `embeddings`: the token embedding and the
        output projection. `encoder`: all of it, `visual` included, but not the token embedding, which the decoder
        shares.
        """
        encoder = self.encoder
        visual = {} if encoder.embed_images is None else {"visual": [encoder.embed_images]}
        return {
            **visual,
            "embeddings": [encoder.embed_tokens, self.decoder.output_projection],
            "encoder": [module for name, module in encoder.named_children() if name != "embed_tokens"],
        }

    def freeze(self, parts: Iterable[str]) -> int:
        """Stop the parameters of some parts from learning; freezing twice is freezing once.

        A frozen visual backbone stays in evaluation mode when the model is put into training, so that its batch norms
        go on using their running statistics and these do not move.

        Args:
            parts: `visual`, `embeddings` or `encoder`.

        Returns:
            How many parameters are frozen in the whole model.

        Raises:
            UsageError: There is no such part, or a text-only model shall freeze `visual`; nothing is frozen then.
        """
        wanted = list(parts)
        if "visual" in wanted and self.encoder.embed_images is None:
            raise UsageError(
                "cannot freeze 'visual': this model does not read images (use_image_feature=false)", "freeze"
            )
        frozen = super().freeze(wanted)
        if self.encoder.embed_images is not None and {"visual", "encoder"} & {*wanted}:
            self.encoder.visual_frozen = True
            self.encoder.embed_images.eval()
        return frozen

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

    def start(self, encoder_outputs: EncoderOutput, rows: int, max_length: int) -> DecoderSteps:
        """The decoder with a cache of fixed size, for generation.

        Args:
            encoder_outputs: What `encode` gave.
            rows: Beams or samples per image.
            max_length: How many tokens will be put in at most, bos included.

        Raises:
            UsageError: `rows` or `max_length` is under 1, or there are not so many positions.
        """
        return DecoderSteps(self.decoder, self.decoder.start(encoder_outputs, rows, max_length))

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
            patch_images: `(B, 3, H, W)` normalised floats, or bytes where it `takes_bytes`; none for text alone.
            patch_masks: `(B,)` bool, False where an image is missing.
            decoder_input_ids: `(B, U)` int64, the target shifted right.
            encoder_outputs: What `encode` gave, to run the decoder alone.
            output_hidden_states: Keep the states of every layer.

        Raises:
            UsageError: `decoder_input_ids` is missing, or `input_ids` as well as `encoder_outputs`; or a text or
                image is too large for the position tables.
        """
        if encoder_outputs is None and input_ids is not None:
            encoder_outputs = self.encode(input_ids, patch_images, patch_masks, output_hidden_states)
        if decoder_input_ids is None or encoder_outputs is None:
            raise UsageError("expected decoder_input_ids and either input_ids or encoder_outputs")
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

    def prepare_for_inference(self, precision: str = "fp32") -> OFAModel:
        """A copy that only computes, and does it faster; the model itself stays as it is.

        Args:
            precision: `fp32`, which gives the same hypotheses, `bf16` or `fp16`.

        Returns:
            A model in evaluation mode for `generate` and `encode`, on this one's device. It cannot be trained, saved
            or moved, and does not follow later changes of this one.

        Raises:
            UsageError: There is no such precision.
        """
        dtype = dtype_named(precision)
        fast = copy.deepcopy(self).eval().requires_grad_(False)
        use_onednn(fast)
        backbone = fast.encoder.embed_images
        stays = isinstance(backbone, TimmBackbone) and backbone.folder is not None and self.visual_frozen
        if stays:
            fast.encoder.embed_images = None
        with torch.inference_mode():
            fast.packed_projection = speed_up(fast.encoder, fast.decoder, dtype)
            fast.to(dtype)
        if stays:
            fast.encoder.embed_images = backbone  # in fp32, in which its features are kept
        return fast

    @classmethod
    def from_pretrained(cls, directory: str | Path, allow_partial: bool = False) -> OFAModel:
        """Read a Hugging Face or ModelScope model directory.

        Args:
            directory: With `config.json` and the weights.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit the configuration.
        """
        config = OFAConfig.from_pretrained(directory).replace(resnet_model_path=None)

        def fill(model: OFAModel) -> None:
            load_checkpoint(model, directory, allow_partial=allow_partial)

        return filled(lambda: cls(config), fill).eval()

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` and the weights so that this class and the stock code can load them.

        Args:
            directory: Where to; made if it is not there.
        """
        save_modelscope(self, directory)


def freeze(model: Model, parts: Iterable[str]) -> int:
    """As `model.freeze(parts)`.

    Args:
        model: It is changed in place.
        parts: Names of its parts.
    """
    return model.freeze(parts)


def prepare_for_inference(model: Model, precision: str = "fp32") -> Model:
    """As `model.prepare_for_inference(precision)`.

    Args:
        model: It stays as it is.
        precision: `fp32`, `bf16` or `fp16`.
    """
    return model.prepare_for_inference(precision)


def _initialize(model: OFAModel, std: float) -> None:
    """The stock initialisation of all but a timm network, which has its own."""
    theirs: set[nn.Module] = set()
    if isinstance(model.encoder.embed_images, TimmBackbone):
        theirs = set(model.encoder.embed_images.modules())
    model.apply(lambda module: None if module in theirs else initialize(module, std))


_SIDES = ("encoder", "decoder")

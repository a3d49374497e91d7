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
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.config.backbone import BackboneSection
from ofakit.errors import UsageError
from ofakit.input_files import read_json_file
from ofakit.models.adapters import add_adapters
from ofakit.models.adapters.tasks import using_task
from ofakit.models.base import Seq2SeqModel
from ofakit.models.filled_model import filled
from ofakit.models.generation.protocol import SearchRules, SpecialTokens
from ofakit.models.packed_linear import PackedLinear, pack_linear_layers, packs
from ofakit.models.pixels import PixelNorm
from ofakit.models.timm_backbone import TimmBackbone
from ofakit.models.vl.checkpoints import load_checkpoint, save_directory
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.decoder import Decoder, DecoderState
from ofakit.models.vl.encoder import Encoder, EncoderOutput
from ofakit.models.vl.initialization import initialize
from ofakit.models.vl.stock_names import own_names, stock_name

__all__ = ["VLModel", "VLOutput"]

INPUTS = ("input_ids", "vis_feats", "boxes", "vis_attention_mask", "img_order_ids", "obj_order_ids", "task")
"""What `encode` takes of a batch, without a backbone."""

Regions = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""What the encoder takes of images: features, boxes, mask, and the numbers of image and place."""

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
    """A language model that reads regions of images beside a text, or with a backbone the cells of its map.

    Attributes:
        backbone: What makes features of pixels; None: features are given.
        backbone_frozen: Whether `freeze` has stopped it from learning.
        knows_images: Whether its projection of features may have learnt; that of a T5 or BART starts anew.

    Args:
        config: What it is made of. Weights are initialised as in the original code; with `timm_backbone` it sees
            through that network of timm, whose width becomes `feat_dim`; with `adapter` these are added and all else is
            frozen but for what their keys name.
    """

    final_logits_bias: Tensor

    def __init__(self, config: VLConfig) -> None:
        super().__init__()
        backbone = None if config.timm_backbone is None else TimmBackbone(BackboneSection(**config.timm_backbone))
        if backbone is not None:
            config = config.replace(feat_dim=backbone.width)
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
        self._bias_seen: tuple[Tensor, int | None, bool] | None = None
        initialize(self, config)
        self.backbone = backbone  # behind the initialisation, which timm's networks have of their own
        self.backbone_frozen = False
        self.knows_images = True
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
        """BART's `final_logits_bias`, `(V,)`; none where it is zero, as in all that were released.

        Whether it is zero is asked again only when it has changed, since an accelerator answers once its work is done.
        """
        if self.config.is_t5:
            return None
        bias = self.final_logits_bias
        # tensors of inference count no versions; they are never changed
        version = None if bias.is_inference() else bias._version
        if self._bias_seen is None or self._bias_seen[0] is not bias or self._bias_seen[1] != version:
            self._bias_seen = bias, version, bool(bias.any())
        return bias[0] if self._bias_seen[2] else None

    @property
    def project(self) -> Callable[[Tensor], Tensor] | None:
        """The packed output projection of a copy made by `prepare_for_inference`, or none."""
        return self.packed_projection

    @property
    def reads_regions(self) -> bool:
        """Images are read as features of their regions, unless there is a backbone, which reads pixels."""
        return self.backbone is None

    @property
    def pixel_norm(self) -> PixelNorm | None:
        """That of the backbone, which takes images as bytes."""
        return None if self.backbone is None else self.backbone.pixels

    @property
    def asked_as(self) -> Literal["ofa", "vl-t5"]:
        """In the words of VL-T5."""
        return "vl-t5"

    def decoder_starts_with(self, token: int) -> None:
        """Let sequences start with another token, such as that which the targets of a training are shifted behind.

        Args:
            token: Its id.
        """
        self._replace_config(decoder_start_token_id=token)

    def regions_end_at(self, rows: int) -> None:
        """Say which rows of the token table tell the places of regions.

        Args:
            rows: The first region's row and one; those of further regions stand before it.
        """
        self._replace_config(region_rows=rows)

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
        if self.backbone is not None and self.backbone.folder is not None and self.backbone_frozen:
            fast.backbone = self.backbone  # in fp32, in which its features are kept
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

        `backbone`: the network of timm, where there is one. `visual`: the projection of regions. `embeddings`: the
        token table and the output projection. `encoder`: all of it but the table, `visual` and `backbone` included.
        `language_model`: everything but `visual` and `backbone`.
        """
        tables: list[nn.Module] = [self.shared, *([] if self.lm_head is None else [self.lm_head])]
        beside = {"embed_tokens", "visual_embedding"}
        layers = [module for name, module in self.encoder.named_children() if name not in beside]
        visual: list[nn.Module] = [self.encoder.visual_embedding]
        backbone: list[nn.Module] = [] if self.backbone is None else [self.backbone]
        return {
            **({"backbone": backbone} if backbone else {}),
            "visual": visual,
            "embeddings": tables,
            "encoder": [*backbone, *visual, *layers],
            "language_model": [*tables, *layers, self.decoder],
        }

    def freeze(self, parts: Iterable[str]) -> int:
        """Stop the parameters of some parts from learning; freezing twice is freezing once.

        A frozen backbone stays in evaluation mode when the model is put into training, so that the statistics of its
        batch norms do not move.

        Args:
            parts: Names of `parts`.

        Returns:
            How many parameters are frozen in the whole model.

        Raises:
            UsageError: There is no such part; nothing is frozen then.
        """
        wanted = list(parts)
        frozen = super().freeze(wanted)
        if self.backbone is not None and {"backbone", "encoder"} & {*wanted}:
            self.backbone_frozen = True
            self.backbone.eval()
        return frozen

    def train(self, mode: bool = True) -> VLModel:
        """Go into training or evaluation mode; a frozen backbone stays in evaluation mode.

        Args:
            mode: Whether to train.
        """
        super().train(mode)
        if self.backbone is not None and self.backbone_frozen:
            self.backbone.eval()
        return self

    def see_through(self, section: BackboneSection) -> None:
        """Put a network of timm, of random weights, into a model that was taught with its features, or with none.

        Args:
            section: What the network is.

        Raises:
            UsageError: There is no such network, or its features are of another width than the model's.
        """
        backbone = TimmBackbone(section)
        self.fit_features(backbone.width)
        self.backbone = backbone.to(self.device)
        self._replace_config(timm_backbone=section.network())

    def fit_features(self, width: int) -> None:
        """Read features of a width; a T5 or BART that never saw an image gets a projection of it.

        Args:
            width: Numbers of a region.

        Raises:
            UsageError: The model was taught with features of another width.
        """
        if width == self.config.feat_dim:
            return
        if self.knows_images:
            raise UsageError(
                f"the model was taught with features of {self.config.feat_dim} numbers (feat_dim), and these have "
                f"{width}: name the network that its features are from"
            )
        projection = nn.Linear(width, self.config.d_model)
        if not self.config.is_t5:
            nn.init.normal_(projection.weight, std=self.config.init_std)
            nn.init.zeros_(projection.bias)
        self.encoder.visual_embedding.feat_embedding[0] = projection.to(self.device)
        self._replace_config(feat_dim=width)

    def encoder_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """What `encode` takes of a batch: the text, regions or images where there are any, and the task.

        Args:
            batch: `input_ids` `(B, L)`, and those of `vis_feats`, `boxes`, `vis_attention_mask`, `img_order_ids`,
                `obj_order_ids` and `task` that are there; with a backbone those of `patch_images`, `patch_masks`,
                `image_index` and `patch_features`, which stand for images.

        Raises:
            UsageError: There are no `input_ids`.
        """
        if batch.get("input_ids") is None:
            wanted = "vis_feats and boxes" if self.backbone is None else "patch_images and patch_masks"
            raise UsageError(f"inputs: expected input_ids, {wanted}, found {', '.join(batch)}")
        shown = "patch_images" if batch.get("patch_features") is None else "patch_features"
        names = INPUTS if self.backbone is None else ("input_ids", shown, "patch_masks", "image_index", "task")
        return {name: batch[name] for name in names if batch.get(name) is not None}

    def seen_by_texts(self, batch: Mapping[str, Any], image_index: Tensor) -> dict[str, Any]:
        """As every model's; a backbone sees each image once.

        Args:
            batch: As made by a collator, of each example's images once.
            image_index: `(N,)` int64, which example of the batch each text is about.
        """
        if self.backbone is None:
            return super().seen_by_texts(batch, image_index)
        seen = {name: value for name, value in self.encoder_inputs(batch).items() if name != "input_ids"}
        own = seen.get("image_index")
        return {**seen, "image_index": image_index if own is None else own.index_select(0, image_index)}

    @torch.no_grad()
    def with_frozen_features(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """The batch with `patch_features` where the backbone is frozen and there are images; else as it is.

        Args:
            batch: On the model's device.
        """
        if not self.backbone_frozen or batch.get("patch_images") is None:
            return batch
        return {**batch, "patch_features": self.visual_features(batch["patch_images"])}

    def visual_features(self, patch_images: Tensor) -> Tensor:
        """Run the backbone alone; a frozen one gives the same in every mode.

        Args:
            patch_images: `(B, 3, H, W)` bytes, or floats that are normalised already.

        Returns:
            `(B, f, h, w)`, for `encode`.

        Raises:
            UsageError: The model has no backbone, or this cannot read images of that size.
        """
        if self.backbone is None:
            raise UsageError(
                "this model reads features of regions, not pixels: give vis_feats, or put a network of timm into it "
                "(model.backbone)"
            )
        return self.backbone(patch_images, self.backbone_frozen).to(self.shared.weight.dtype)

    def _regions(
        self, images: Tensor | None, features: Tensor | None, masks: Tensor | None, index: Tensor | None
    ) -> Regions:
        """Images as regions, the cells of the backbone's map row by row."""
        found = self.visual_features(cast(Tensor, images)) if features is None else features
        cells = found.flatten(2).transpose(1, 2)
        there = None if masks is None else masks.view(-1, 1).expand(-1, cells.shape[1])
        if index is None:
            return cells, None, there, None, None
        if index.dim() == 2:
            return _one_after_another(cells, there, index)
        return cells.index_select(0, index), None, None if there is None else there.index_select(0, index), None, None

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
        patch_images: Tensor | None = None,
        patch_masks: Tensor | None = None,
        patch_features: Tensor | None = None,
        image_index: Tensor | None = None,
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
            patch_images: `(M, 3, H, W)` bytes, which the backbone sees in place of regions; M is B but for
                `image_index`.
            patch_masks: `(M,)` bool, False where an image is missing; none: all are there.
            patch_features: `(M, f, h, w)`, what `visual_features` gave for the images, instead of these.
            image_index: `(B,)` int64, which of the images each text is about, or `(B, K)`, which of them it is about
                one after another, -1 where there are fewer than K; none: one image a text.

        Raises:
            UsageError: A text is too long, features are of another width, there are images and no backbone, a text is
                about more images than the model has embeddings for (`n_images`), or no adapter is for the task.
        """
        regions: Regions = (vis_feats, boxes, vis_attention_mask, img_order_ids, obj_order_ids)
        if patch_images is not None or patch_features is not None:
            regions = self._regions(patch_images, patch_features, patch_masks, image_index)
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
        patch_images: Tensor | None = None,
        patch_masks: Tensor | None = None,
        image_index: Tensor | None = None,
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
            patch_images: As in `encode`.
            patch_masks: As in `encode`.
            image_index: As in `encode`.

        Raises:
            UsageError: Neither labels nor `decoder_input_ids` are there, or neither `input_ids` nor `encoder_outputs`.
        """
        if encoder_outputs is None and input_ids is not None:
            regions = (vis_feats, boxes, vis_attention_mask, img_order_ids, obj_order_ids)
            seen = {"patch_images": patch_images, "patch_masks": patch_masks, "image_index": image_index}
            encoder_outputs = self.encode(input_ids, *regions, task, output_hidden_states, **seen)
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
        config = VLConfig.from_pretrained(directory)

        def fill(model: VLModel) -> None:
            load_checkpoint(model, directory, allow_partial=allow_partial)

        model = filled(lambda: cls(config), fill)
        model.knows_images = "feat_dim" in read_json_file(Path(directory) / "config.json", "a configuration")
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


def _one_after_another(cells: Tensor, there: Tensor | None, index: Tensor) -> Regions:
    """The regions of several images an example, zeros and masked where an example has fewer.

    Args:
        cells: `(M, N, f)`, those of each image.
        there: `(M, N)` bool, where there is one; none: everywhere.
        index: `(B, K)` int64, the images of each example; -1 is none.

    Returns:
        Features `(B, K N, f)`, no boxes, mask `(B, K N)`, and numbers of image and place `(1, K N)`.
    """
    there = torch.ones(cells.shape[:2], dtype=torch.bool, device=cells.device) if there is None else there
    feats, mask = F.pad(cells, (0, 0, 0, 0, 0, 1)), F.pad(there, (0, 0, 0, 1))  # -1 finds the row behind the last one
    images = torch.arange(index.shape[1], device=index.device).repeat_interleave(cells.shape[1])
    places = torch.arange(cells.shape[1], device=index.device).repeat(index.shape[1])
    return feats[index].flatten(1, 2), None, mask[index].flatten(1, 2), images[None], places[None]

"""VL-T5 and VL-BART from a configuration: a size, `Epoch30.pth` or a directory; the vocabulary read or trained.

{"model": {"type": "vl", "size": "base", "config": {"model_type": "bart"}, "tokenizer": {"path": "BART_DIR"}}}
{"model": {"type": "vl", "path": "Epoch30.pth", "size": "base", "tokenizer": {"path": "BART_DIR"}}}
{"model": {"type": "vl", "size": "tiny", "config": {"model_type": "t5"}, "tokenizer": {"train_vocab_size": 4000}}}
{"model": {"type": "vl", "size": "base", "config": {"model_type": "t5"}, "tokenizer": {"path": "T5_DIR"}}}
{"model": {"type": "vl", "path": "T5_OR_BART_DIR", "config": {"dropout": 0.0}}}
{"model": {"type": "vl", "path": "MODEL_DIR", "backbone": {"name": "tf_efficientnet_lite0", "weights": "FILE"}}}

Behind the vocabulary stand `<extra_id_99>` to `<extra_id_0>` and `<vis_extra_id_99>` to `<vis_extra_id_0>`, as in
VL-T5: what corrupted text is filled with, and the names of regions, whose rows say a region's place in its image. The
decoder starts with what targets are shifted behind here: bos, or with T5's own vocabulary, which has none, pad. A
directory of Hugging Face's T5 or BART is a start: its projection of regions is new. Images are read as regions
(`data.regions`), whose width a run from scratch finds out by itself; with `backbone` the model makes them of pixels, as
the cells of the map of a timm network, which learns with it unless it is frozen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ofakit.config.backbone import BackboneSection
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError, did_you_mean
from ofakit.models.base import Model
from ofakit.models.model_type import ModelType
from ofakit.models.timm_backbone import backbone_as
from ofakit.models.timm_network import load_weights
from ofakit.models.types._run_keys import keys_of_run
from ofakit.models.types._vl_vocabulary import name_regions, read_vocabulary, with_sentinels
from ofakit.models.types.ofa import chosen_tokenizer
from ofakit.models.vl.checkpoints import BACKBONE, PROJECTION, is_language_model, load_checkpoint, rows_of
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.describe import describe, describe_weights
from ofakit.models.vl.model import VLModel
from ofakit.models.vl.weights_configuration import are_vl_names
from ofakit.text.base_tokenizer import BaseTokenizer

__all__ = ["VL"]


class VL(ModelType):
    """VL-T5, VL-BART and their tokenizer: a byte-level BPE, or T5's SentencePiece."""

    def reads_regions(self, section: ModelSection) -> bool:
        """Whether a model has no backbone.

        Args:
            section: The section `model`.
        """
        return section.backbone is None

    def tokenizer(self, section: ModelSection, texts: Iterable[str]) -> BaseTokenizer:
        """The tokenizer of a directory, or a byte-level BPE trained on texts.

        Args:
            section: The section `model`: `tokenizer`, or else its `path` where that is a start.
            texts: As they will be encoded, such as captions with a leading space.

        Raises:
            UsageError: There is no such tokenizer, or the section says of none.
        """
        if section.tokenizer.path is None and section.path is not None and self.is_start(section.path):
            return self.read_tokenizer(section.path)
        return with_sentinels(chosen_tokenizer(section, texts, self.read_tokenizer))

    def is_start(self, folder: str | Path) -> bool:
        """Whether a directory is that of a T5 or BART that never saw an image.

        Args:
            folder: The directory.
        """
        return is_language_model(folder)

    def build(self, section: ModelSection, tokenizer: BaseTokenizer) -> VLModel:
        """A network of a size, with the weights of a file, or that of a start; `section.config` overrides its keys.

        Args:
            section: The section `model`; its `path` is a file or a start. `config.model_type` is `bart`, or `t5`.
            tokenizer: Its special tokens are the model's.

        Raises:
            UsageError: A key of `section.config` is unknown or out of its range, or a file does not fit.
        """
        config = _configuration(section, tokenizer)
        rows = config.vocab_size if section.path is None else rows_of(section.path, config) or config.vocab_size
        model = VLModel(config.replace(vocab_size=rows))
        if section.backbone is not None:
            _refuse_other_width(section, model.config.feat_dim)
            load_weights(backbone_as(model.backbone, section.backbone).network, section.backbone)
        if section.path is not None:
            load_checkpoint(model, section.path, section.allow_partial, absent=(PROJECTION, BACKBONE))
            if rows < len(tokenizer) or self.is_start(section.path):
                name_regions(model, tokenizer)
        return model

    def load(self, folder: str | Path, allow_partial: bool = False) -> tuple[VLModel, BaseTokenizer]:
        """Read a model directory: ours, or one of Hugging Face's T5 or BART.

        Args:
            folder: With `config.json`, the weights and the files of the tokenizer.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit.
        """
        tokenizer = self.read_tokenizer(folder)
        model = VLModel.from_pretrained(folder, allow_partial=allow_partial)
        if self.is_start(folder):
            name_regions(model, tokenizer)
        model.decoder_starts_with(tokenizer.start_token_id)
        return model, tokenizer

    def train_as(self, model: Model, section: ModelSection) -> None:
        """Let the model see through the network of a section, frozen or not, and put the section's adapters into it.

        A model that was taught with features of regions gets the network that it has not yet, and a T5 or BART that
        never saw an image a projection of the width that the section says.

        Args:
            model: A `VLModel`; changed in place.
            section: The section `model`.

        Raises:
            UsageError: The model sees through another network, or was taught with features of another width; or its
                adapters are others.
        """
        if isinstance(model, VLModel):
            if "feat_dim" in section.config:
                model.fit_features(section.config["feat_dim"])
            if section.backbone is not None:
                self._let_see(model, section.backbone)
        self.adapt(model, section)

    def _let_see(self, model: VLModel, section: BackboneSection) -> None:
        """The backbone of a section in a model, as it is to be trained."""
        if model.backbone is None:
            model.see_through(section)
            load_weights(backbone_as(model.backbone, section).network, section)
        backbone_as(model.backbone, section)
        if section.frozen:
            model.freeze(["backbone"])

    def read_tokenizer(self, folder: str | Path) -> BaseTokenizer:
        """The tokenizer of a directory.

        Args:
            folder: With `vocab.json` and `merges.txt`, or `tokenizer.json` or `spiece.model` of T5.

        Raises:
            UsageError: It holds none, or a file cannot be read.
        """
        return read_vocabulary(folder)

    def load_weights(self, model: Model, path: str | Path, allow_partial: bool = False) -> tuple[list[str], list[str]]:
        """As `ofakit.models.vl.checkpoints.load_checkpoint`.

        Args:
            model: A `VLModel`.
            path: A file of weights, a model directory or a snapshot.
            allow_partial: Take what fits.
        """
        if not isinstance(model, VLModel):
            raise UsageError(f"expected a VL-T5 or VL-BART to load {path} into, found a {type(model).__name__}")
        return load_checkpoint(model, path, allow_partial=allow_partial)

    def recognises(self, names: Collection[str]) -> bool:
        """Whether they are those of a VL-T5 or VL-BART, or of a T5 or BART.

        Args:
            names: Those of all tensors of a checkpoint.
        """
        return are_vl_names(names)

    def describe(self, path: str | Path, section: ModelSection | None = None) -> dict[str, Any]:
        """As `ofakit.models.vl.describe.describe`.

        Args:
            path: A file of weights, such as `Epoch30.pth`, a model directory or a snapshot.
            section: The section `model` of the run that made a snapshot.
        """
        return describe(path, known_of_run(section))

    def describe_weights(self, weights: Mapping[str, Tensor], section: ModelSection | None = None) -> dict[str, Any]:
        """As `ofakit.models.vl.describe.describe_weights`.

        Args:
            weights: By name.
            section: As in `describe`.
        """
        return describe_weights(weights, known_of_run(section))


def known_of_run(section: ModelSection | None) -> dict[str, Any] | None:
    """What a run's configuration says of a VL-T5 or VL-BART that its weights do not tell.

    Args:
        section: The section `model`; None: nothing is known.
    """
    if section is None:
        return None
    said = keys_of_run(section, VLConfig, "timm_backbone")
    family = said.get("model_type", "bart")
    size = {} if "d_kv" in said else VLConfig.from_size(f"{family}-{section.size}").to_dict()
    return {**size, **said}


def _configuration(section: ModelSection, tokenizer: BaseTokenizer) -> VLConfig:
    """The configuration of a size with a section's keys and a tokenizer's ids."""
    elsewhere = ("extra", "adapter", "timm_backbone")
    known = [field.name for field in dataclasses.fields(VLConfig) if field.name not in elsewhere]
    for key in section.config:
        if key not in known:
            raise UsageError(f"unknown key 'model.config.{key}': {did_you_mean(key, known)}", key)
    start = VLConfig.from_pretrained(section.path) if section.path and is_language_model(section.path) else None
    family = section.config.get("model_type", "bart" if start is None else start.model_type)
    keys: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    keys |= {"bos_token_id": tokenizer.bos_token_id, "decoder_start_token_id": tokenizer.start_token_id}
    keys["eos_token_id"] = tokenizer.eos_token_id
    keys["forced_eos_token_id"] = tokenizer.eos_token_id if family == "bart" else None
    keys["timm_backbone"] = None if section.backbone is None else section.backbone.network()
    keys |= section.config
    if start is None:
        return VLConfig.from_size(f"{family}-{section.size}", **keys)
    if family != start.model_type:
        raise UsageError(
            f"model.config.model_type is {family!r}, but {section.path} is a {start.model_type}", "model_type"
        )
    return start.replace(**keys)


def _refuse_other_width(section: ModelSection, width: int) -> None:
    """See that a configuration says of no other width of features than the backbone's."""
    wanted = section.config.get("feat_dim", width)
    if wanted != width:
        raise UsageError(f"model.config.feat_dim is {wanted}, but the backbone's features have {width}; leave it out")

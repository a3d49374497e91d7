"""VL-T5 and VL-BART from a configuration: a size, `Epoch30.pth` or a directory; the vocabulary read or trained.

{"model": {"type": "vl", "size": "base", "config": {"model_type": "bart"}, "tokenizer": {"path": "BART_DIR"}}}
{"model": {"type": "vl", "path": "Epoch30.pth", "size": "base", "tokenizer": {"path": "BART_DIR"}}}
{"model": {"type": "vl", "size": "tiny", "config": {"model_type": "t5"}, "tokenizer": {"train_vocab_size": 4000}}}

Behind the vocabulary stand `<extra_id_99>` to `<extra_id_0>` and `<vis_extra_id_99>` to `<vis_extra_id_0>`, as in
VL-T5: what corrupted text is filled with, and the names of regions, whose rows say a region's place in its image. The
decoder starts with bos, for BART and T5 alike, since that is what targets are shifted behind here. Images are read as
regions (`data.regions`), whose width a run from scratch finds out by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError, did_you_mean
from ofakit.models.base import Model
from ofakit.models.model_type import ModelType
from ofakit.models.types.ofa import OFA
from ofakit.models.vl.checkpoints import load_checkpoint, rows_of
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.model import VLModel
from ofakit.text.tokenizer import OFATokenizer

__all__ = ["VL", "sentinel_tokens"]

SENTINELS = 100
"""Of each kind, as in T5 and VL-T5."""


def sentinel_tokens() -> list[str]:
    """The tokens behind the vocabulary, in the order of their rows: the last one is that of the first region."""
    return [f"<{kind}_{number}>" for kind in ("extra_id", "vis_extra_id") for number in reversed(range(SENTINELS))]


class VL(ModelType):
    """VL-T5, VL-BART and their tokenizer, a byte-level BPE."""

    reads_regions = True

    def tokenizer(self, section: ModelSection, texts: Iterable[str]) -> OFATokenizer:
        """The tokenizer of a directory, or a byte-level BPE trained on texts.

        Args:
            section: The section `model`: `tokenizer`.
            texts: As they will be encoded, such as captions with a leading space.

        Raises:
            UsageError: There is no such tokenizer, or the section says of none.
        """
        tokenizer = OFA().tokenizer(section, texts)
        tokenizer.add_tokens(token for token in sentinel_tokens() if tokenizer.token_to_id(token) is None)
        return tokenizer

    def build(self, section: ModelSection, tokenizer: OFATokenizer) -> VLModel:
        """A network of a size, with the weights of a file; `section.config` overrides its keys.

        Args:
            section: The section `model`; its `path` is not a directory. `config.model_type` is `bart`, or `t5`.
            tokenizer: Its special tokens are the model's.

        Raises:
            UsageError: A key of `section.config` is unknown or out of its range, or a file does not fit.
        """
        config = _configuration(section, tokenizer)
        if section.path is None:
            return VLModel(config)
        rows = rows_of(section.path, config) or config.vocab_size
        model = VLModel(config.replace(vocab_size=rows))
        load_checkpoint(model, section.path, allow_partial=section.allow_partial)
        model.resize_token_embeddings(max(rows, len(tokenizer)))
        return model

    def load(self, folder: str | Path, allow_partial: bool = False) -> tuple[VLModel, OFATokenizer]:
        """Read a model directory: ours, or one of Hugging Face's BART.

        Args:
            folder: With `config.json`, the weights and the files of the tokenizer.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit.
        """
        tokenizer = self.read_tokenizer(folder)
        model = VLModel.from_pretrained(folder, allow_partial=allow_partial)
        model.decoder_starts_with(tokenizer.bos_token_id)
        return model, tokenizer

    def train_as(self, model: Model, section: ModelSection) -> None:
        """Put the adapters of a section into the model.

        Args:
            model: A `VLModel`; changed in place.
            section: The section `model`.

        Raises:
            UsageError: The section asks for what such models have not, or the model adds a bias to its logits, which
                no objective knows.
        """
        super().train_as(model, section)
        if isinstance(model, VLModel) and model.output_bias is not None:
            raise UsageError("the model has a nonzero final_logits_bias, which the objectives do not support")

    def read_tokenizer(self, folder: str | Path) -> OFATokenizer:
        """The tokenizer of a directory.

        Args:
            folder: With `vocab.json` and `merges.txt`.

        Raises:
            UsageError: It holds none, or a file cannot be read.
        """
        return OFATokenizer.from_pretrained(folder)

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


def _configuration(section: ModelSection, tokenizer: OFATokenizer) -> VLConfig:
    """The configuration of a size with a section's keys and a tokenizer's ids."""
    known = [field.name for field in dataclasses.fields(VLConfig) if field.name not in ("extra", "adapter")]
    for key in section.config:
        if key not in known:
            raise UsageError(f"unknown key 'model.config.{key}': {did_you_mean(key, known)}", key)
    family = section.config.get("model_type", "bart")
    keys: dict[str, Any] = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    keys |= dict.fromkeys(("bos_token_id", "decoder_start_token_id"), tokenizer.bos_token_id)
    keys["eos_token_id"] = tokenizer.eos_token_id
    keys["forced_eos_token_id"] = tokenizer.eos_token_id if family == "bart" else None
    return VLConfig.from_size(f"{family}-{section.size}", **{**keys, **section.config})

"""OFA from a configuration: a released size, a fairseq file or a directory; its vocabulary read or trained.

{"model": {"type": "ofa", "size": "base", "tokenizer": {"path": "DIR"}}}
{"model": {"type": "ofa", "path": "ofa_base.pt", "config": {"dropout": 0.0}, "tokenizer": {"path": "DIR"}}}
{"model": {"type": "ofa", "size": "tiny", "tokenizer": {"train_vocab_size": 4000}}}
{"model": {"type": "ofa", "size": "tiny", "tokenizer": {"train_vocab_size": 4000},
           "backbone": {"name": "tf_efficientnet_lite2", "weights": "FILE", "frozen": true}}}
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError, did_you_mean
from ofakit.models.base import Model
from ofakit.models.model_type import ModelType
from ofakit.models.ofa.checkpoints import config_of, load_checkpoint
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.ofa.describe import describe, describe_weights
from ofakit.models.ofa.fairseq import SIDES
from ofakit.models.ofa.model import OFAModel
from ofakit.models.timm_backbone import backbone_as
from ofakit.models.timm_network import load_weights
from ofakit.models.types._run_keys import keys_of_run
from ofakit.text.base_tokenizer import BaseTokenizer
from ofakit.text.tokenizer import OFATokenizer
from ofakit.text.training import train_tokenizer

__all__ = ["OFA", "chosen_tokenizer"]

Tokenizer = TypeVar("Tokenizer", bound=BaseTokenizer)


class OFA(ModelType):
    """OFA and its tokenizers, English and Chinese."""

    def tokenizer(self, section: ModelSection, texts: Iterable[str]) -> OFATokenizer:
        """The tokenizer of a directory, or a byte-level BPE trained on texts.

        Args:
            section: The section `model`: `tokenizer` and `language`.
            texts: As they will be encoded, such as captions with a leading space.

        Raises:
            UsageError: There is no such tokenizer, it is of another language, or the section says of none.
        """
        return chosen_tokenizer(section, texts, OFATokenizer.from_pretrained)

    def build(self, section: ModelSection, tokenizer: OFATokenizer) -> OFAModel:
        """A network of a released size, or that of a file with its weights; `section.config` overrides either.

        Args:
            section: The section `model`; its `path` is not a directory.
            tokenizer: Where the special tokens stand is the vocabulary's: bos 0, pad 1, eos 2 in OFA's English one,
                elsewhere in others.

        Raises:
            UsageError: A key of `section.config` is none of OFA's or out of its range, or a file does not fit.
        """
        model = OFAModel(_network(section, tokenizer))
        if section.backbone is not None:
            load_weights(backbone_as(_visual(model), section.backbone).network, section.backbone)
        if section.path is not None:
            load_checkpoint(model, section.path, allow_partial=section.allow_partial)
        return model

    def load(self, folder: str | Path, allow_partial: bool = False) -> tuple[OFAModel, OFATokenizer]:
        """Read a model directory: ours, ModelScope's or Hugging Face's.

        Args:
            folder: With `config.json`, the weights and the files of the tokenizer.
            allow_partial: Accept missing and unexpected weights.

        Raises:
            UsageError: A file is missing, or the weights do not fit.
        """
        return OFAModel.from_pretrained(folder, allow_partial=allow_partial), self.read_tokenizer(folder)

    def train_as(self, model: Model, section: ModelSection) -> None:
        """Freeze the timm network, stop its batch norms, keep its features, and add adapters to the model.

        Args:
            model: An `OFAModel`; changed in place.
            section: The section `model`.

        Raises:
            UsageError: The model's visual backbone or its adapters differ from those of the section.
        """
        if section.backbone is not None:
            backbone_as(_visual(model), section.backbone)
            if section.backbone.frozen:
                model.freeze(["visual"])
        self.adapt(model, section)

    def read_tokenizer(self, folder: str | Path) -> OFATokenizer:
        """The tokenizer of a directory.

        Args:
            folder: With `vocab.json` and `merges.txt`, or `vocab.txt`.

        Raises:
            UsageError: It holds neither, or a file cannot be read.
        """
        return OFATokenizer.from_pretrained(folder)

    def load_weights(self, model: Model, path: str | Path, allow_partial: bool = False) -> tuple[list[str], list[str]]:
        """As `ofakit.models.ofa.load_checkpoint`.

        Args:
            model: An `OFAModel`.
            path: A fairseq file, a file of weights, a model directory or a snapshot.
            allow_partial: Take what fits.
        """
        if not isinstance(model, OFAModel):
            raise UsageError(f"expected an OFA model to load {path} into, found a {type(model).__name__}")
        return load_checkpoint(model, path, allow_partial=allow_partial)

    def recognises(self, names: Collection[str]) -> bool:
        """Whether there is a table of OFA's relative positions, in the encoder or, if that has no layers, the decoder.

        Args:
            names: Those of all tensors of a checkpoint.
        """
        tables = tuple(f"{side}.token_rel_pos_table_list." for side in SIDES)
        return any(name.removeprefix("module.").startswith(tables) for name in names)

    def describe(self, path: str | Path, section: ModelSection | None = None) -> dict[str, Any]:
        """As `ofakit.models.ofa.describe.describe`.

        Args:
            path: A fairseq file, a file of weights, a model directory or a snapshot.
            section: The section `model` of the run that made a snapshot.
        """
        return describe(path, known_of_run(section))

    def describe_weights(self, weights: Mapping[str, Tensor], section: ModelSection | None = None) -> dict[str, Any]:
        """As `ofakit.models.ofa.describe.describe_weights`.

        Args:
            weights: By name.
            section: As in `describe`.
        """
        return describe_weights(weights, known_of_run(section))


def known_of_run(section: ModelSection | None) -> dict[str, Any] | None:
    """What a run's configuration says of an OFA that its weights do not tell.

    Args:
        section: The section `model`; None: nothing is known.
    """
    if section is None:
        return None
    said = keys_of_run(section, OFAConfig, "backbone")
    return {key: said[key] for key in (*section.config, "adapter", "backbone") if key in said and key != "vocab_size"}


def chosen_tokenizer(
    section: ModelSection, texts: Iterable[str], read: Callable[[str], Tokenizer]
) -> Tokenizer | OFATokenizer:
    """The tokenizer of a directory, or a byte-level BPE trained on texts.

    Args:
        section: The section `model`: `tokenizer` and `language`.
        texts: What one is trained on.
        read: Reads that of a directory.

    Raises:
        UsageError: There is no such tokenizer, it is of another language, or the section says of none.
    """
    wanted = section.tokenizer
    if wanted.path is not None:
        tokenizer = read(wanted.path)
        if tokenizer.language != section.language:
            raise UsageError(
                f"model.language is {section.language!r}, but the vocabulary in {wanted.path} is {tokenizer.language!r}"
            )
        return tokenizer
    if wanted.train_vocab_size is None or section.language == "zh":
        raise UsageError(
            "a model trained from scratch needs a vocabulary: set model.tokenizer.path (a directory with "
            "vocab.json and merges.txt, or vocab.txt for Chinese) or, in English, model.tokenizer.train_vocab_size"
        )
    return train_tokenizer(texts, wanted.train_vocab_size, num_codes=wanted.num_codes, num_bins=wanted.num_bins)


def _visual(model: Any) -> object:
    """What an OFA sees through."""
    return model.encoder.embed_images


def _network(section: ModelSection, tokenizer: OFATokenizer) -> OFAConfig:
    """The network's configuration: that of a file or a released size, with the overrides on top."""
    known = [field.name for field in dataclasses.fields(OFAConfig)]
    for key in section.config:
        if key not in known:
            raise UsageError(f"unknown key 'model.config.{key}': {did_you_mean(key, known)}", key)
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    keys: dict[str, Any] = {"bos_token_id": bos, "decoder_start_token_id": bos, "pad_token_id": tokenizer.pad_token_id}
    keys |= {"eos_token_id": eos, "forced_eos_token_id": eos}
    if section.backbone is not None:
        keys["backbone"] = section.backbone.network()
    if section.path is not None:
        return config_of(section.path).replace(**{**keys, **section.config})
    return OFAConfig.from_size(section.size, **{"vocab_size": len(tokenizer), **keys, **section.config})

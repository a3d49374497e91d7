"""Texts by any encoder of Hugging Face, a sentence-transformers directory included.

    {"type": "hugging_face", "path": "DIR_OR_HUB_ID", "pooling": "mean", "normalize": true}
    {"type": "hugging_face", "config": {"model_type": "bert", "hidden_size": 128, "num_hidden_layers": 2,
     "num_attention_heads": 2, "intermediate_size": 512}, "vocabulary_size": 4000}

A sentence-transformers directory brings its own pooling, layers, normalisation, length and prompts; keys that are set
win. Encoder-decoders encode by their encoder, or with the pooling `decoder_start` by the decoder's state of its start
token (Ni et al. 2022, https://arxiv.org/abs/2108.08877).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ofakit.config.section import PathText
from ofakit.errors import UsageError
from ofakit.hub_ids import huggingface_id
from ofakit.input_files import refuse_odd_files
from ofakit.models.encoders._sentence_transformers import is_sentence_transformer, read_modules
from ofakit.models.encoders.base import Encoder, EncoderSettings
from ofakit.models.heads.pooling import Pooling, pool, pooled_width
from ofakit.models.heads.projection import Head
from ofakit.models.reading import HuggingFaceTexts, Reading, train_byte_pairs
from ofakit.models.transformers_directory import load_network

__all__ = [
    "HuggingFaceEncoder",
    "HuggingFaceSettings",
    "local_directory",
    "network_of",
    "plain_config",
    "transformer_directory",
]


class HuggingFaceSettings(EncoderSettings):
    """The keys of `hugging_face`."""

    path: PathText | None = Field(None, description="start from this directory or hub id")
    config: dict[str, Any] = Field(
        default_factory=dict, description="configuration of the network, with its model_type, if there is no path"
    )
    vocabulary_size: int = Field(
        8000, ge=10, le=10_000_000, description="size of a vocabulary trained on the texts, if no path"
    )
    pooling: Pooling | Literal["decoder_start"] = "mean"
    layers: int = Field(1, ge=1, le=1000, description="number of last layers that `sum` and `concat` combine")
    max_length: int = Field(256, ge=3, le=100_000, description="most tokens per text, including special ones")
    allow_partial: bool = Field(False, description="accept a directory with missing weights, which start at random")


class HuggingFaceEncoder(Encoder):
    """Texts through a transformer.

    Attributes:
        prompt: Gives learned embeddings `(P, d)` that stand in front of those of a text, where there is one.

    Args:
        settings: Its keys.
        reading: Whose vocabulary the network has.

    Raises:
        UsageError: There is no such network, or its weights cannot be read.
    """

    Settings = HuggingFaceSettings
    reads = frozenset({"text"})

    def __init__(self, settings: HuggingFaceSettings, reading: Reading) -> None:
        super().__init__()
        settings = with_modules(settings)
        path = None if settings.path is None else transformer_directory(settings.path)
        size = len(reading.texts)  # type: ignore[arg-type]
        decoder, partial = settings.pooling == "decoder_start", settings.allow_partial
        self.prompt: nn.Module | None = None
        self.transformer: Any = network_of(path, settings.config, decoder, partial, vocab_size=size)
        config = self.transformer.config
        own = {"path": None, "config": plain_config(config), "allow_partial": False}
        self.settings = settings.model_copy(update=own)
        width = pooled_width(config.hidden_size, settings.pooling, settings.layers)
        self.head = Head(width, settings.projection, settings.normalize)
        if settings.path is not None and is_sentence_transformer(settings.path):
            for name, value in read_modules(settings.path).dense.items():
                self.head.layers.get_parameter(name).data.copy_(value)

    @classmethod
    def make_reading(cls, settings: HuggingFaceSettings, texts: Iterable[str]) -> Reading:
        """The tokenizer of the directory, or one trained on the texts.

        Args:
            settings: Its keys.
            texts: What to train on.
        """
        settings = with_modules(settings)
        if settings.path is not None:
            return Reading(HuggingFaceTexts.load(transformer_directory(settings.path), settings.max_length))
        return Reading(train_byte_pairs(texts, settings.vocabulary_size, settings.max_length))

    @classmethod
    def load_reading(cls, settings: HuggingFaceSettings, folder: str | Path) -> Reading:
        """The tokenizer of a directory.

        Args:
            settings: Its keys.
            folder: The directory.
        """
        return Reading(HuggingFaceTexts.load(folder, settings.max_length))

    def pooled(self, inputs: Mapping[str, Tensor], modalities: Sequence[str]) -> Tensor:
        """One vector a text.

        Args:
            inputs: `input_ids` and `attention_mask`, `(n, T)`.
            modalities: `text`.
        """
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        given, prompted = self._with_prompt(ids, mask)
        if self.settings.pooling == "decoder_start":
            start = torch.full_like(ids[:, :1], self.transformer.config.decoder_start_token_id)
            return self.transformer(**given, decoder_input_ids=start).last_hidden_state[:, 0]
        several = self.settings.pooling in ("sum", "concat") and self.settings.layers > 1
        found = self.transformer(**given, output_hidden_states=several)
        states = found.hidden_states if several else (found.last_hidden_state,)
        states = tuple(state[:, prompted:] for state in states)
        return pool(states, mask, self.settings.pooling, self.settings.layers)

    def _with_prompt(self, ids: Tensor, mask: Tensor) -> tuple[dict[str, Tensor], int]:
        """What the network is given, and how many states of it are the prompt's."""
        if self.prompt is None:
            return {"input_ids": ids, "attention_mask": mask}, 0
        embedded = self.transformer.get_input_embeddings()(ids)
        learned = self.prompt().to(embedded.dtype)
        there = mask.new_ones(len(ids), len(learned))
        embedded = torch.cat([learned.expand(len(ids), -1, -1), embedded], dim=1)
        return {"inputs_embeds": embedded, "attention_mask": torch.cat([there, mask], dim=1)}, len(learned)

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        """`embeddings`, those of tokens; `text`, the whole transformer; `projection`."""
        return {
            "embeddings": [self.transformer.get_input_embeddings()],
            "text": [self.transformer],
            "projection": [self.head],
        }


def with_modules(settings: HuggingFaceSettings) -> HuggingFaceSettings:
    """The settings with a local path, and with what a sentence-transformers directory says where they do not.

    Args:
        settings: As given.

    Raises:
        UsageError: There is no such directory, and no hub gives it.
    """
    if settings.path is None:
        return settings
    path = str(local_directory(settings.path))
    own = read_modules(path).settings if is_sentence_transformer(path) else {}
    unset = {key: value for key, value in own.items() if key not in settings.model_fields_set}
    return settings.model_copy(update={**unset, "path": path})


def transformer_directory(path: str) -> Path:
    """Where a network and its tokenizer are: the directory, or one of a sentence-transformers directory's.

    Args:
        path: A local directory.
    """
    return read_modules(path).transformer if is_sentence_transformer(path) else Path(path)


def local_directory(path_or_id: str) -> Path:
    """The directory of a network: itself, or downloaded from the Hugging Face hub.

    Args:
        path_or_id: A directory or a hub id, as `ofakit.hub_ids` knows them.

    Raises:
        UsageError: Neither is there.
    """
    found = huggingface_id(path_or_id)
    if found is None:
        path = Path(os.path.expanduser(path_or_id))
        if not path.is_dir():
            raise UsageError(f"expected a model directory, found the file {path}", "path")
        refuse_odd_files(path)
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(found))
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"no model directory {found}, and none could be fetched from the hub: {reason}", "path"
        ) from None


def network_of(
    path: Path | None, config: Mapping[str, Any], decoder: bool = False, allow_partial: bool = False, **sizes: int
) -> Any:
    """A network of transformers: read from a directory, or of random weights.

    Args:
        path: The directory; None: `config` says what to build.
        config: The configuration with its `model_type`.
        decoder: Whether an encoder-decoder keeps its decoder.
        allow_partial: Let weights that the directory lacks be random numbers.
        **sizes: Entries of the configuration where it does not say, such as `vocab_size`.

    Raises:
        UsageError: The configuration names no network, or the directory holds none, or not all of it.
    """
    from transformers import AutoConfig

    if path is not None:
        try:
            found = AutoConfig.from_pretrained(str(path))
        except (OSError, ValueError) as error:
            raise UsageError(f"no network in {path}: {str(error).partition(chr(10))[0]}", "path") from None
        return load_network(_class_of(found, decoder), path, allow_partial)
    if "model_type" not in config:
        raise UsageError(
            "expected a path, or a config with the model_type of a network, such as "
            '{"model_type": "bert", "hidden_size": 128}', "config",
        )  # fmt: skip
    try:
        made = AutoConfig.for_model(**{**sizes, **config})
    except ValueError as error:
        raise UsageError(f"no network {config['model_type']!r}: {error}", "config") from None
    kind = _class_of(made, decoder)
    return kind.from_config(made) if hasattr(kind, "from_config") else kind(made)


def plain_config(config: Any) -> dict[str, Any]:
    """What `network_of` makes the same network from.

    Args:
        config: A network's.
    """
    dropped = ("transformers_version", "architectures", "_name_or_path", "torch_dtype", "dtype")
    values = config.to_diff_dict()
    return {"model_type": config.model_type, **{k: v for k, v in values.items() if k not in dropped}}


def _class_of(config: Any, decoder: bool) -> Any:
    """The class that makes the network; of a T5 the encoder alone, unless its decoder is needed."""
    import transformers

    encoders = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
    if decoder and not config.is_encoder_decoder:
        raise UsageError(
            f"the pooling decoder_start needs a decoder, which {config.model_type} does not have", "pooling"
        )
    name = "AutoModel" if decoder else encoders.get(config.model_type, "AutoModel")
    return getattr(transformers, name)

"""Sentence-transformers directories, read and written: modules, prompts and lengths.

    modules.json                        which modules follow each other, and where
    sentence_bert_config.json           the transformer's: max_seq_length
    1_Pooling/config.json               how tokens become a vector
    2_Dense/config.json model.safetensors   a linear layer
    3_Normalize/                        vectors of length 1
    config_sentence_transformers.json   prompts and the similarity

Source: https://sbert.net, of which 6.2 was read; older directories name their modules by other paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ofakit.data.json_files import read_json
from ofakit.errors import UsageError
from ofakit.models.heads.projection import DenseSection
from ofakit.models.weights import read_content

__all__ = ["Modules", "is_sentence_transformer", "read_modules"]

POOLINGS = {
    "cls": "first", "mean": "mean", "max": "max", "lasttoken": "last", "mean_sqrt_len_tokens": "mean_sqrt",
    "cls_token": "first", "mean_tokens": "mean", "max_tokens": "max",
}  # fmt: skip
"""The names of newer and of older directories."""

ACTIVATIONS = {"Identity": "identity", "Tanh": "tanh", "GELU": "gelu", "ReLU": "relu"}


@dataclass(frozen=True)
class Modules:
    """What a directory says.

    Attributes:
        transformer: The folder of the network and its tokenizer.
        settings: Keys of `HuggingFaceSettings`.
        dense: The weights of its linear layers, by their names in `Head.layers`.
        prompts: What stands in front of a text, by the name of what is encoded.
    """

    transformer: Path
    settings: dict[str, Any]
    dense: dict[str, Tensor] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)


def is_sentence_transformer(path: str | Path) -> bool:
    """Whether a path is such a directory.

    Args:
        path: A directory, or a hub id, of which nothing is known yet.
    """
    return (Path(path) / "modules.json").is_file()


def read_modules(path: str | Path) -> Modules:
    """Read a directory.

    Args:
        path: The directory.

    Raises:
        UsageError: It has modules that are not known, or a file is missing.
    """
    folder = Path(path)
    transformer, settings = folder, {"pooling": "mean", "normalize": False}
    layers: list[DenseSection] = []
    dense: dict[str, Tensor] = {}
    for module in read_json(folder / "modules.json", "modules of sentence-transformers"):
        kind, place = str(module["type"]).rpartition(".")[2], folder / module.get("path", "")
        if kind == "Transformer":
            transformer = place
            settings |= _length(place)
        elif kind == "Pooling":
            settings["pooling"] = _pooling(place)
        elif kind == "Dense":
            section, weights = _dense(place)
            dense |= {f"{2 * len(layers)}.{name}": value for name, value in weights.items()}
            layers.append(section)
        elif kind == "Normalize":
            settings["normalize"] = True
        else:
            raise UsageError(f"{folder / 'modules.json'} has a module that ofakit does not support: {module['type']}")
    about = folder / "config_sentence_transformers.json"
    prompts = read_json(about, "settings").get("prompts") or {} if about.exists() else {}
    if layers:
        settings["projection"] = layers
    return Modules(transformer, settings, dense, prompts)


def _length(folder: Path) -> dict[str, Any]:
    """The length of texts, in the file that says it, or as the tokenizer has it."""
    path = folder / "sentence_bert_config.json"
    length = read_json(path, "settings").get("max_seq_length") if path.exists() else None
    if length is None and (folder / "tokenizer_config.json").exists():
        length = read_json(folder / "tokenizer_config.json", "tokenizer").get("model_max_length")
    return {} if length is None or length > 1_000_000 else {"max_length": int(length)}


def _pooling(folder: Path) -> str:
    """The name of the pooling here."""
    found = read_json(folder / "config.json", "pooling")
    older = [name.removeprefix("pooling_mode_") for name, value in found.items() if value is True]
    modes = [found["pooling_mode"]] if "pooling_mode" in found else [n for n in older if n != "include_prompt"]
    if len(modes) != 1 or modes[0] not in POOLINGS or found.get("include_prompt", True) is False:
        raise UsageError(
            f"{folder / 'config.json'}: expected one pooling of {', '.join(POOLINGS)}, prompts included, found {modes}"
        )
    return POOLINGS[modes[0]]


def _dense(folder: Path) -> tuple[DenseSection, dict[str, Tensor]]:
    """A linear layer and its weights."""
    found = read_json(folder / "config.json", "linear layer")
    activation = ACTIVATIONS.get(str(found.get("activation_function", "")).rpartition(".")[2])
    if activation is None:
        raise UsageError(f"{folder / 'config.json'}: unknown activation {found.get('activation_function')!r}")
    section = DenseSection(width=found["out_features"], bias=found.get("bias", True), activation=activation)
    return section, {name.removeprefix("linear."): value for name, value in read_content(folder).items()}

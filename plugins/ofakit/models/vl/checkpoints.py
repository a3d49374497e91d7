"""Checkpoints of VL-T5 and VL-BART: the original `Epoch30.pth`, directories of Hugging Face's T5 and BART, and ours.

    load_checkpoint(model, "Epoch30.pth")
    save_directory(model, "vlbart")                # config.json, model.safetensors

Files are read by `ofakit.models.weights`, which runs no code of theirs. Ours have the names of the original code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import save_file
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.files import replace_file
from ofakit.input_files import read_json_file
from ofakit.models.vl.configuration import VLConfig
from ofakit.models.vl.stock_names import own_names, tied_names
from ofakit.models.weights import read_content, some_of, tensors_of

__all__ = ["BACKBONE", "PROJECTION", "is_language_model", "load_checkpoint", "rows_of", "save_directory"]

PROJECTION, BACKBONE = "encoder.visual_embedding.", "backbone."
"""Begin the names of what a language model lacks that never saw an image, and one that was given features."""


class StockModel(Protocol):
    """What is asked of a model whose weights are read or written here: a `VLModel`."""

    config: VLConfig

    def state_dict(self) -> Mapping[str, Any]:
        """Its tensors by name."""
        ...

    def stock_state_dict(self) -> dict[str, Tensor]:
        """Every tensor under the names of the original code."""
        ...

    def missing_and_unexpected(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """What a checkpoint with these names lacks, and what it has beyond.

        Args:
            keys: Of a checkpoint.
        """
        ...

    def load_stock_state_dict(self, state_dict: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
        """Take over weights.

        Args:
            state_dict: By the names of the original code.
        """
        ...


def load_checkpoint(
    model: StockModel, path: str | Path, allow_partial: bool = False, absent: Sequence[str] = (PROJECTION,)
) -> tuple[list[str], list[str]]:
    """Load weights into a model; nothing changes when they do not fit.

    A T5 or BART that never saw an image lacks the projection of regions, which then stays as it is.

    Args:
        model: The model.
        path: A file of weights, such as `Epoch30.pth`, or a directory.
        allow_partial: Take what fits: tensors may be missing, unexpected or of another shape.
        absent: Beginnings of names of which the checkpoint may have none at all; what is called so stays as it is.

    Returns:
        The missing and the unexpected names; tensors of another shape are in both.

    Raises:
        UsageError: The checkpoint does not fit and `allow_partial` is not set, or nothing in it fits.
    """
    weights = tensors_of(read_content(path), path)
    own = model.state_dict()
    names = own_names(weights, own, model.config)
    wrong = {key for key, name in names.items() if own[name].shape != weights[key].shape}
    fitting = {key: value for key, value in weights.items() if key not in wrong}
    missing, unexpected = model.missing_and_unexpected(fitting)
    for beginning in absent:
        if not any(name.startswith(beginning) for name in names.values()):
            missing = [name for name in missing if not name.startswith(beginning)]
    missing, unexpected = sorted({*missing, *(names[key] for key in wrong)}), sorted({*unexpected, *wrong})
    if (missing or unexpected) and not (allow_partial and len(wrong) < len(names)):
        shapes = [f"{key} is {tuple(weights[key].shape)}, not {tuple(own[names[key]].shape)}" for key in sorted(wrong)]
        parts = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        lists = "; ".join(f"{len(found)} {what}: {some_of(found)}" for what, found in parts.items() if found)
        raise UsageError(f"{path} does not fit the model: {lists}. To load what fits, pass --allow-partial")
    model.load_stock_state_dict(fitting)
    return missing, unexpected


def is_language_model(path: str | Path) -> bool:
    """Whether a path is the directory of a T5 or BART that never saw an image, as Hugging Face has them.

    Args:
        path: A file or a directory.
    """
    config = Path(path) / "config.json"
    keys = read_json_file(config, "the configuration of a model") if config.is_file() else None
    return isinstance(keys, dict) and keys.get("model_type") in ("t5", "bart") and "feat_dim" not in keys


def rows_of(path: str | Path, config: VLConfig) -> int | None:
    """How many rows the token table of a checkpoint has: those of VL-T5 have more than their T5's vocabulary.

    Args:
        path: As in `load_checkpoint`.
        config: Of the model's family.

    Returns:
        The rows; none where it holds no such table.
    """
    weights = tensors_of(read_content(path), path)
    known = {f"{prefix}{name}" for name in tied_names(config) for prefix in ("", "module.")}
    known |= {name.removeprefix("model.") for name in known}
    return next((len(value) for key, value in weights.items() if key in known), None)


def save_directory(model: StockModel, directory: str | Path) -> None:
    """Write `config.json` and `model.safetensors`, which Hugging Face's T5 and BART can read too, but for the regions.

    Args:
        model: The model.
        directory: Where to; made if it is not there.

    Raises:
        SaveError: The disk is full or permission is missing; old weights are intact.
    """
    model.config.save_pretrained(directory)
    weights = {name: value.cpu().clone().contiguous() for name, value in model.stock_state_dict().items()}
    with replace_file(Path(directory) / "model.safetensors") as new:
        save_file(weights, new, metadata={"format": "pt"})

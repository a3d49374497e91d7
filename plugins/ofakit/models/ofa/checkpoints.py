"""OFA's checkpoints: Hugging Face and ModelScope directories, and fairseq files (without fairseq).

    model = OFAModel(config_of("ofa_base.pt"))
    load_checkpoint(model, "ofa_base.pt")
    save_modelscope(model, "ofa-base")

Files are read by `ofakit.models.weights`; here is what OFA's names and settings mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.files import replace_file
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.ofa.fairseq import (
    config_from_weights,
    fairseq_checkpoint,
    fairseq_settings,
    from_fairseq_names,
    inert_classes,
)
from ofakit.models.weights import WEIGHTS, read_content, some_of, tensors_of

__all__ = [
    "average",
    "config_of",
    "load_checkpoint",
    "load_state_dict_file",
    "refuse_additions",
    "save_fairseq",
    "save_huggingface",
    "save_modelscope",
]


class StockModel(Protocol):
    """What is asked of a model whose weights are read or written here: an `OFAModel`."""

    config: OFAConfig

    def state_dict(self) -> Mapping[str, Any]:
        """Its tensors by name."""
        ...

    def stock_state_dict(self) -> dict[str, Tensor]:
        """Every tensor that the stock code expects."""
        ...

    def missing_and_unexpected(self, keys: Iterable[str]) -> tuple[list[str], list[str]]:
        """What a checkpoint with these keys lacks, and what it has beyond.

        Args:
            keys: Stock names.
        """
        ...

    def load_stock_state_dict(self, state_dict: Mapping[str, Tensor]) -> tuple[list[str], list[str]]:
        """Take over weights.

        Args:
            state_dict: By stock names.
        """
        ...


def refuse_additions(config: OFAConfig, target: str) -> None:
    """See that the stock code knows all that a model is made of.

    Args:
        config: The model's.
        target: What is to be written, for the message.

    Raises:
        UsageError: Its backbone is a timm network, or it has adapters.
    """
    if config.adapter is not None:
        raise UsageError(
            f"a model with adapters of type {config.adapter['type']!r} cannot be written {target}, whose code has no "
            "adapters; merge them first (tools/checkpoint.py merge), which is possible for LoRA and (IA)³, or use "
            "--to ofakit"
        )
    if config.backbone is not None:
        raise UsageError(
            f"a model with the timm backbone {config.backbone['name']} cannot be written {target}, whose code supports "
            "OFA's own ResNet only; use --to ofakit"
        )


def load_state_dict_file(path: str | Path) -> dict[str, Tensor]:
    """Read weights under their stock names.

    Args:
        path: A `.safetensors`, `.bin`, `.pt`, `.pth` or `.ckpt` file, fairseq's included, or a directory with the
            weights of a model, sharded ones included.

    Raises:
        UsageError: Nothing is there, it is not a checkpoint, it is damaged, or its pickle holds more than weights.
    """
    return from_fairseq_names(tensors_of(read_content(path, inert_classes), path))


def load_checkpoint(model: StockModel, path: str | Path, allow_partial: bool = False) -> tuple[list[str], list[str]]:
    """Load weights into a model; nothing changes when they do not fit.

    Args:
        model: The model.
        path: As in `load_state_dict_file`.
        allow_partial: Take what fits: keys may be missing or unexpected, and tensors of another shape are left out.

    Returns:
        The missing and the unexpected keys; tensors of another shape are in both.

    Raises:
        UsageError: The checkpoint does not fit and `allow_partial` is not set, or nothing in it fits.
    """
    weights = load_state_dict_file(path)
    own = model.state_dict()
    wrong = {name for name, value in weights.items() if name in own and own[name].shape != value.shape}
    fitting = {name: value for name, value in weights.items() if name not in wrong}
    missing, unexpected = model.missing_and_unexpected(fitting)
    missing, unexpected = sorted({*missing, *wrong}), sorted({*unexpected, *wrong})
    if (missing or unexpected) and not (allow_partial and any(name in own for name in fitting)):
        shapes = [f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}" for name in sorted(wrong)]
        parts = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        lists = "; ".join(f"{len(names)} {what}: {some_of(names)}" for what, names in parts.items() if names)
        raise UsageError(f"{path} does not fit the model: {lists}. To load what fits, pass --allow-partial")
    model.load_stock_state_dict(fitting)
    return missing, unexpected


def config_of(path: str | Path) -> OFAConfig:
    """The configuration of a checkpoint.

    Args:
        path: A model directory, whose `config.json` is read; or a snapshot of a run or a file, whose weights and
            settings tell.

    Raises:
        UsageError: As `load_state_dict_file` and `OFAConfig.from_pretrained`.
    """
    path = Path(path)
    beside = path if path.is_dir() else path.parent
    if (path.is_dir() or path.name in WEIGHTS) and (beside / "config.json").exists():
        return OFAConfig.from_pretrained(beside)
    content = read_content(path, inert_classes)
    return config_from_weights(from_fairseq_names(tensors_of(content, path)), **fairseq_settings(content))


def save_huggingface(model: StockModel, directory: str | Path) -> None:
    """Write `config.json` and `model.safetensors` with every tensor that the stock code expects.

    The stock code fills what a file lacks with random numbers, and safetensors cannot share: the token embedding
    stands in the file three times. `save_modelscope` writes it once.

    Args:
        model: The model.
        directory: Where to; made if it is not there.

    Raises:
        SaveError: The disk is full or permission is missing; old weights are intact.
        UsageError: The stock code does not know all that the model is made of.
    """
    refuse_additions(model.config, "for Hugging Face")
    model.config.save_pretrained(directory)
    weights = {name: value.detach().cpu().clone() for name, value in model.stock_state_dict().items()}
    weights = {name: value.contiguous() for name, value in weights.items()}
    with replace_file(Path(directory) / "model.safetensors") as new:
        save_file(weights, new, metadata={"format": "pt"})


def save_modelscope(model: StockModel, directory: str | Path) -> None:
    """Write `config.json` and `pytorch_model.bin` with every tensor that the stock code expects.

    Args:
        model: The model.
        directory: Where to; made if it is not there.

    Raises:
        SaveError: The disk is full or permission is missing; old weights are intact.
    """
    model.config.save_pretrained(directory)
    _save(_on_cpu(model.stock_state_dict()), Path(directory) / "pytorch_model.bin")


def save_fairseq(model: StockModel, path: str | Path) -> None:
    """Write one file for the original OFA on fairseq.

    Args:
        model: The model.
        path: The `.pt` file.

    Raises:
        SaveError: The disk is full or permission is missing; an old file is intact.
        UsageError: fairseq does not know all that the model is made of.
    """
    refuse_additions(model.config, "for fairseq")
    _save(fairseq_checkpoint(_on_cpu(model.stock_state_dict()), model.config), Path(path))


def _save(content: Mapping[str, Any], path: Path) -> None:
    """`torch.save`, whole or not at all. Through an open file: by itself it does not say why a write failed."""
    with replace_file(path) as new, open(new, "wb") as file:
        torch.save(content, file)


def average(
    paths: Iterable[str | Path], read: Callable[[str | Path], Mapping[str, Tensor]] = load_state_dict_file
) -> dict[str, Tensor]:
    """The mean of several checkpoints of one model, computed in fp32; integers are those of the last.

    Args:
        paths: As in `load_state_dict_file`, at least one.
        read: Gives the weights of one; for models other than OFA.

    Raises:
        UsageError: There is none, or their tensors differ in name or shape.
    """
    mean: dict[str, Tensor] = {}
    dtypes: dict[str, torch.dtype] = {}
    count = 0
    for path in paths:
        weights = read(path)
        found = {name: tuple(value.shape) for name, value in weights.items()}
        if count and found != {name: tuple(value.shape) for name, value in mean.items()}:
            differing = sorted({*found.items()} ^ {(n, tuple(v.shape)) for n, v in mean.items()})
            raise UsageError(
                f"{path} belongs to a different model than the checkpoints before it: "
                f"{some_of([d[0] for d in differing])}"
            )
        count += 1
        for name, value in weights.items():
            dtypes[name] = value.dtype
            if not value.is_floating_point() or name not in mean:
                mean[name] = value.float() if value.is_floating_point() else value
            else:
                mean[name] = mean[name] + (value.float() - mean[name]) / count
    if not count:
        raise UsageError("expected at least one checkpoint to average, found none")
    return {name: value.to(dtypes[name]) for name, value in mean.items()}


def _on_cpu(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, tensors that are shared still shared."""
    moved: dict[int, Tensor] = {}
    result = {}
    for name, value in weights.items():
        key = value.data_ptr() if value.numel() else id(value)
        if key not in moved:
            moved[key] = value.detach().cpu().contiguous()
        result[name] = moved[key]
    return result

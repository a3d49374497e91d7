"""Read and write weights: Hugging Face and ModelScope directories, and fairseq files (without fairseq).

    model = OFAModel(config_of("ofa_base.pt"))
    load_checkpoint(model, "ofa_base.pt")
    save_modelscope(model, "ofa-base")

Pickles are read weights-only: a file that would run code is refused.
"""

from __future__ import annotations

import json
import lzma
import os
import pickle
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from ofakit.errors import UsageError, did_you_mean
from ofakit.files import replace_file
from ofakit.models.ofa.configuration import OFAConfig
from ofakit.models.ofa.fairseq import (
    config_from_weights,
    fairseq_checkpoint,
    fairseq_settings,
    from_fairseq_names,
    inert_classes,
)
from ofakit.models.ofa.model import OFAModel

__all__ = [
    "average",
    "config_of",
    "describe",
    "extract_from_tar",
    "load_checkpoint",
    "load_state_dict_file",
    "save_fairseq",
    "save_huggingface",
    "save_modelscope",
]

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in a model directory, in the order in which they are looked for."""
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def load_state_dict_file(path: str | Path) -> dict[str, Tensor]:
    """Read weights under their stock names.

    Args:
        path: A `.safetensors`, `.bin`, `.pt`, `.pth` or `.ckpt` file, fairseq's included, or a directory with the
            weights of a model, sharded ones included.

    Raises:
        UsageError: Nothing is there, it is no checkpoint, it is damaged, or its pickle holds more than weights.
    """
    return from_fairseq_names(_weights(_read(Path(path)), path))


def load_checkpoint(model: OFAModel, path: str | Path, allow_partial: bool = False) -> tuple[list[str], list[str]]:
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
        lists = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in parts.items() if names)
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
    content = _read(path)
    return config_from_weights(from_fairseq_names(_weights(content, path)), **fairseq_settings(content))


def describe(path: str | Path) -> dict[str, Any]:
    """What a checkpoint is: `format`, number of `parameters` and `tensors`, `dtypes` and `config`.

    Args:
        path: As in `load_state_dict_file`.
    """
    path = Path(path)
    content = _read(path)
    weights = from_fairseq_names(_weights(content, path))
    config = config_of(path)
    with torch.device("meta"):
        model = OFAModel(config.replace(resnet_model_path=None))
    return {
        "format": "directory" if path.is_dir() else "fairseq" if "model" in content else "state dict",
        "parameters": sum(p.numel() for p in model.parameters()),
        "tensors": len(weights),
        "dtypes": sorted({str(v.dtype).removeprefix("torch.") for v in weights.values()}),
        "config": config.to_dict(),
    }


def save_huggingface(model: OFAModel, directory: str | Path) -> None:
    """Write `config.json` and `model.safetensors` with every tensor that the stock code expects.

    The stock code fills what a file lacks with random numbers, and safetensors cannot share: the token embedding
    stands in the file three times. `save_modelscope` writes it once.

    Args:
        model: The model.
        directory: Where to; made if it is not there.

    Raises:
        SaveError: The disk is full or permission is missing; old weights are intact.
    """
    from safetensors.torch import save_file

    model.config.save_pretrained(directory)
    weights = {name: value.detach().cpu().clone() for name, value in model.stock_state_dict().items()}
    weights = {name: value.contiguous() for name, value in weights.items()}
    with replace_file(Path(directory) / "model.safetensors") as new:
        save_file(weights, new, metadata={"format": "pt"})


def save_modelscope(model: OFAModel, directory: str | Path) -> None:
    """Write `config.json` and `pytorch_model.bin` with every tensor that the stock code expects.

    Args:
        model: The model.
        directory: Where to; made if it is not there.

    Raises:
        SaveError: The disk is full or permission is missing; old weights are intact.
    """
    model.config.save_pretrained(directory)
    _save(_on_cpu(model.stock_state_dict()), Path(directory) / "pytorch_model.bin")


def save_fairseq(model: OFAModel, path: str | Path) -> None:
    """Write one file for the original OFA on fairseq.

    Args:
        model: The model.
        path: The `.pt` file.

    Raises:
        SaveError: The disk is full or permission is missing; an old file is intact.
    """
    _save(fairseq_checkpoint(_on_cpu(model.stock_state_dict()), model.config), Path(path))


def _save(content: Mapping[str, Any], path: Path) -> None:
    """`torch.save`, whole or not at all. Through an open file: by itself it does not say why a write failed."""
    with replace_file(path) as new, open(new, "wb") as file:
        torch.save(content, file)


def average(paths: Iterable[str | Path]) -> dict[str, Tensor]:
    """The mean of several checkpoints of one model, computed in fp32; integers are those of the last.

    Args:
        paths: As in `load_state_dict_file`, at least one.

    Raises:
        UsageError: There is none, or their tensors differ in name or shape.
    """
    mean: dict[str, Tensor] = {}
    dtypes: dict[str, torch.dtype] = {}
    count = 0
    for path in paths:
        weights = load_state_dict_file(path)
        found = {name: tuple(value.shape) for name, value in weights.items()}
        if count and found != {name: tuple(value.shape) for name, value in mean.items()}:
            differing = sorted({*found.items()} ^ {(n, tuple(v.shape)) for n, v in mean.items()})
            raise UsageError(f"{path} is of another model than those before it: {_some([d[0] for d in differing])}")
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


def extract_from_tar(archive: str | Path, member: str, out: str | Path) -> Path:
    """Take one file out of a tar archive, compressed or not.

    Args:
        archive: The archive.
        member: The file's path in the archive, or the end of it where that is unique.
        out: The file to write, or a folder for it: one that is there, or a path that ends in a separator.

    Returns:
        The file that was written.

    Raises:
        UsageError: The archive is damaged, has a path that leaves its folder, or has not one such file.
        SaveError: The disk is full or permission is missing; an old file is intact.
    """
    if not Path(archive).is_file():
        raise UsageError(f"there is no archive {archive}")
    try:
        with tarfile.open(archive) as tar:
            chosen = _sole_file(tar, member, archive)
            _read_to_the_end(tar)
            folder = Path(out).is_dir() or str(out).endswith(("/", os.sep))
            target = Path(out) / PurePosixPath(chosen.name).name if folder else Path(out)
            with tar.extractfile(chosen) as source, replace_file(target) as new, open(new, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UsageError(f"{archive} is no readable tar archive: {_reason(error)}") from None
    return target


def _sole_file(tar: tarfile.TarFile, member: str, archive: str | Path) -> tarfile.TarInfo:
    files = [info for info in tar if not _refuse_escape(info, archive) and info.isfile()]
    chosen = [i for i in files if i.name == member] or [i for i in files if i.name.endswith("/" + member)]
    if len(chosen) != 1:
        known = did_you_mean(member, [info.name for info in files])
        raise UsageError(f"expected one file {member!r} in {archive}, found {len(chosen)}: {known}")
    return chosen[0]


def _read_to_the_end(tar: tarfile.TarFile) -> None:
    """Let the decompressor check what it has read: the checksum of a stream stands at its end."""
    while tar.fileobj.read(1 << 20):
        pass


def _refuse_escape(info: tarfile.TarInfo, archive: str | Path) -> bool:
    paths = [info.name]
    if info.issym() or info.islnk():
        parent = str(PurePosixPath(info.name).parent) if info.issym() else "."
        paths.append(f"{parent}/{info.linkname}" if not info.linkname.startswith("/") else info.linkname)
    for path in paths:
        depth = 0
        for part in PurePosixPath(path).parts:
            depth += -1 if part == ".." else part not in (".", "")
            if depth < 0 or part == "/":
                raise UsageError(f"{archive} is refused: its path {path!r} leaves the folder it is extracted to")
    return False


def _read(path: Path) -> dict[str, Any]:
    """The content of a file, or the weights of a directory."""
    if path.is_dir():
        return _read_directory(path)
    if not path.exists():
        raise UsageError(f"there is no checkpoint {path}")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path} is no checkpoint: expected a directory or a file that ends in {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        asked = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
        with torch.serialization.safe_globals(inert_classes(asked)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path} is refused: its pickle is damaged or holds more than weights, and loading that could run any code"
            f" ({_refusal(error)}). Expected tensors, plain values and fairseq's settings"
        ) from None
    except Exception as error:
        if isinstance(error, OSError | MemoryError):
            raise
        raise UsageError(f"{path} is no readable checkpoint: {_reason(error)}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected tensors by name, found a {type(content).__name__}")
    return content


def _refusal(error: pickle.UnpicklingError) -> str:
    """What a refused pickle asks for; else the last line of what torch found, without its advice."""
    found = str(error).partition("\n\nCheck the documentation")[0]
    asked = re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", found)
    return f"it asks for {asked.group(1)}" if asked else found.rpartition("\n")[2]


def _reason(error: Exception) -> str:
    """The first line of an error with its type, without which some say nothing."""
    if isinstance(error, EOFError):
        return "it is empty or cut off"
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first_line}".rstrip(": ")


def _read_directory(folder: Path) -> dict[str, Any]:
    for name in WEIGHTS:
        if (folder / name).exists():
            return _read(folder / name)
        index = folder / f"{name}.index.json"
        if index.exists():
            shards = _shards(index)
            return {key: value for shard in shards for key, value in _read(folder / shard).items()}
    found = sorted(p.name for p in folder.iterdir())
    raise UsageError(f"no weights in {folder}: expected {' or '.join(WEIGHTS)}, found {_some(found) or 'nothing'}")


def _shards(index: Path) -> list[str]:
    """The files that an index of sharded weights names."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{index} is not JSON: {error}") from None
    where = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(where, dict) or not all(isinstance(shard, str) for shard in where.values()):
        raise UsageError(f'{index}: expected {{"weight_map": {{tensor: file}}}}, found {json.dumps(content)[:80]}')
    shards = sorted(set(where.values()))
    if any(Path(shard).name != shard or shard in ("", "..") for shard in shards):
        raise UsageError(f"{index} is refused: a shard must lie in its folder, found {_some(shards)}")
    return shards


def _weights(content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    for key in ("model", "state_dict", "model_state_dict", "module"):
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    weights = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not weights:
        raise UsageError(f"{path} holds no tensors; its keys are {_some(sorted(map(str, content)))}")
    for prefix in ("module.", "model."):
        if all(name.startswith(prefix) for name in weights):
            weights = {name[len(prefix) :]: value for name, value in weights.items()}
    return weights


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


def _some(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more

"""Read files of weights without trusting them: pickles, safetensors, shards, and archives that hold such files.

    content = read_content("ofa_base.pt")
    weights = tensors_of(content, "ofa_base.pt")

Pickles are read weights-only: a file that would run code is refused. What the names in a file mean is the business of
the model that it is for.
"""

from __future__ import annotations

import errno
import json
import lzma
import os
import pickle
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from ofakit.errors import UsageError, did_you_mean
from ofakit.files import replace_file
from ofakit.input_files import read_json_file, refuse_odd_files

__all__ = ["SUFFIXES", "WEIGHTS", "extract_from_tar", "read_content", "some_of", "tensors_of"]

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights in a model directory, in the order in which they are looked for."""

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
"""How the name of a file of weights ends."""

StandIns = Callable[[Iterable[str]], list[Any]]
"""From the dotted names that a pickle asks for to what may stand there, for `torch.serialization.safe_globals`."""


def read_content(path: str | Path, stand_ins: StandIns = lambda names: []) -> dict[str, Any]:
    """The content of a file, or the weights of a directory; tensors are on the CPU.

    Args:
        path: A file that ends in one of `SUFFIXES`, or a model directory, whose weights may be sharded.
        stand_ins: What a pickle may hold beside tensors and plain values.

    Raises:
        UsageError: Nothing is there, it is not a checkpoint, it is damaged, or its pickle holds more than that.
    """
    path = Path(path)
    if path.is_dir():
        return _read_directory(path, stand_ins)
    if not os.path.lexists(path):
        raise UsageError(f"there is no checkpoint {str(path)[:200]}")
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path} is not a checkpoint: expected a directory or a file that ends in {', '.join(SUFFIXES)}"
        )
    refuse_odd_files(path)
    content = _load(path, stand_ins)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected tensors by name, found a {type(content).__name__}")
    return content


def _load(path: Path, stand_ins: StandIns) -> Any:
    """What a file holds; the weights-only loader of PyTorch refuses whatever could run code."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        asked = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
        with torch.serialization.safe_globals(stand_ins(asked)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path} is refused: its pickle is damaged or contains more than weights, and loading it could run "
            f"arbitrary code ({_refusal(error)}). Expected tensors, plain values and the settings that accompany them"
        ) from None
    except Exception as error:
        # a file that is cut off sends PyTorch to a place before its beginning, which is not a fault of the disk
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno != errno.EINVAL):
            raise
        raise UsageError(f"{path} is not a readable checkpoint: {_reason(error)}") from None


def _refusal(error: pickle.UnpicklingError) -> str:
    """What a refused pickle asks for; else the last line of what torch found, without its advice."""
    found = str(error).partition("\n\nCheck the documentation")[0]
    asked = re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", found)
    return f"it refers to {asked.group(1)}" if asked else found.rpartition("\n")[2]


def _reason(error: Exception) -> str:
    """The first line of an error with its type, without which some say nothing."""
    if isinstance(error, EOFError):
        return "it is empty or truncated"
    first_line = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {first_line}".rstrip(": ")


def _read_directory(folder: Path, stand_ins: StandIns) -> dict[str, Any]:
    for name in WEIGHTS:
        if (folder / name).exists():
            return read_content(folder / name, stand_ins)
        index = folder / f"{name}.index.json"
        if index.exists():
            shards = _shards(index)
            return {key: value for shard in shards for key, value in read_content(folder / shard, stand_ins).items()}
    found = sorted(p.name for p in folder.iterdir())
    raise UsageError(f"no weights in {folder}: expected {' or '.join(WEIGHTS)}, found {some_of(found) or 'nothing'}")


def _shards(index: Path) -> list[str]:
    """The files that an index of sharded weights names."""
    content = read_json_file(index, "an index of weights")
    where = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(where, dict) or not all(isinstance(shard, str) for shard in where.values()):
        raise UsageError(f'{index}: expected {{"weight_map": {{tensor: file}}}}, found {json.dumps(content)[:80]}')
    shards = sorted(set(where.values()))
    if any(Path(shard).name != shard or shard in ("", "..") for shard in shards):
        raise UsageError(f"{index} is refused: a shard must be in the same folder, found {some_of(shards)}")
    return shards


def tensors_of(content: Mapping[str, Any], path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, out of whatever a trainer wrapped around them.

    Args:
        content: Tensors by name, or a dict that has them as `model`, `state_dict`, `model_state_dict` or `module`. A
            prefix `module.` or `model.` that all names have is taken off.
        path: Where it was read, for messages.

    Raises:
        UsageError: There are no tensors.
    """
    for key in ("model", "state_dict", "model_state_dict", "module"):
        if isinstance(content.get(key), dict):
            content = content[key]
            break
    weights = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not weights:
        raise UsageError(f"{path} contains no tensors; its keys are {some_of(sorted(map(str, content)))}")
    for prefix in ("module.", "model."):
        if all(name.startswith(prefix) for name in weights):
            weights = {name[len(prefix) :]: value for name, value in weights.items()}
    return weights


def extract_from_tar(archive: str | Path, member: str, out: str | Path) -> Path:
    """Take one file out of a tar archive, compressed or not.

    Args:
        archive: The archive.
        member: The file's path in the archive, or the end of it where that is unique.
        out: The file to write, or a folder for it: one that is there, or a path that ends in a separator.

    Returns:
        The file that was written.

    Raises:
        UsageError: The archive is damaged, has a path that leaves its folder, or has not one such file; or there is a
            file where it is to be written.
        SaveError: The disk is full or permission is missing.
    """
    if not Path(archive).is_file():
        raise UsageError(f"there is no archive {archive}")
    try:
        with tarfile.open(archive) as tar:
            chosen = _sole_file(tar, member, archive)
            _read_to_the_end(tar)
            folder = Path(out).is_dir() or str(out).endswith(("/", os.sep))
            target = Path(out) / PurePosixPath(chosen.name).name if folder else Path(out)
            if target.exists():
                raise UsageError(
                    f"{target} already exists and will not be overwritten; choose another name, or remove it"
                )
            content = cast(IO[bytes], tar.extractfile(chosen))  # there is one, since `chosen` is a regular file
            with content as source, replace_file(target) as new, open(new, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    except UsageError:
        raise
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, OverflowError) as error:
        # a header that speaks of 2^60 bytes sends Python to a place that no file has
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise UsageError(f"{archive} is not a readable tar archive: {_reason(error)}") from None
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


def some_of(names: Sequence[str], limit: int = 8) -> str:
    """The first names of many, for a message.

    Args:
        names: All of them.
        limit: How many are told.

    >>> some_of(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more

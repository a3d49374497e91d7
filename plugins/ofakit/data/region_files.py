"""Regions that others computed: in HDF5, in npz, or in a store of ours.

    source = open_regions("train_obj36.h5")      # VL-T5: <id>/features, boxes in pixels, img_w, img_h
    source = open_regions("COCO_CLIP.h5")        # VL-Adapter: <id>/features (49, f), a grid without boxes
    source = open_regions("features.npz")        # ids, features (n, N, f), perhaps boxes, img_w, img_h
    source = open_regions("features")            # a folder with one npz a picture, or a store of ours
    source.regions("COCO_val2014_000000000042.jpg").features     # (N, f) float32

In an npz, `x` counts as features, `bbox` as boxes and `image_w`, `image_h` as the size, as detectors of bottom-up
attention write them. Pictures are named by id, number, name or path; `regions.key_spellings` says what is tried.

Sources: the data loaders of https://github.com/j-min/VL-T5 and https://github.com/ylsung/VL_adapter.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.region_store import STORE, RegionStore
from ofakit.data.regions import Regions, RegionSource, key_spellings
from ofakit.errors import UsageError

__all__ = ["HDF5Regions", "NpzFile", "NpzFolder", "open_regions"]

HDF5 = (".h5", ".hdf5", ".hdf")
COLUMNS = {"features": ("features", "x"), "boxes": ("boxes", "bbox"), "width": ("img_w", "image_w")}
COLUMNS |= {"height": ("img_h", "image_h")}


def open_regions(path: str | Path) -> RegionSource:
    """The regions in a file or a folder.

    Args:
        path: An .h5, an .npz, a folder of .npz files, or a store of ours.

    Raises:
        UsageError: There is nothing there, or it is none of these.
    """
    path = Path(path).expanduser()
    if (path / STORE).exists():
        return RegionStore(path)
    if path.is_dir():
        return NpzFolder(path)
    if not path.exists():
        raise UsageError(f"no regions at {path}: there is no such file or folder", "path")
    if path.suffix.lower() in HDF5:
        return HDF5Regions(path)
    if path.suffix.lower() == ".npz":
        return NpzFile(path)
    raise UsageError(f"expected regions as .h5, .npz, a folder of .npz or a region store, found {path}", "path")


class _ByName:
    """What finds pictures by one of their spellings."""

    path: Path

    def names(self) -> Mapping[str, Any]:
        """The names that there are."""
        raise NotImplementedError

    def read(self, name: str) -> Regions:
        """The regions under a name that there is.

        Args:
            name: One of `names`.
        """
        raise NotImplementedError

    def __len__(self) -> int:
        """How many pictures it has."""
        return len(self.names())

    def __contains__(self, key: object) -> bool:
        """Whether it has a picture.

        Args:
            key: As for `regions`.
        """
        names = self.names()
        return isinstance(key, str) and any(name in names for name in key_spellings(key))

    def regions(self, key: str) -> Regions:
        """The regions of a picture.

        Args:
            key: Its path, name or id.

        Raises:
            UsageError: There are none of that picture, or they are damaged.
        """
        names = self.names()
        name = next((name for name in key_spellings(key) if name in names), None)
        if name is None:
            such = f", such as {next(iter(names))!r}" if len(names) else ""
            raise UsageError(f"no regions of {key!r} in {self.path}, which has those of {len(names)} images{such}")
        return self.read(name)

    @property
    def width(self) -> int:
        """Numbers of a region's features; those of the first picture."""
        names = self.names()
        if not len(names):
            raise UsageError(f"expected regions in {self.path}, found none", "path")
        return self.read(next(iter(names))).features.shape[1]


class HDF5Regions(_ByName):
    """A group a picture, by its id; picklable, each process opens the file itself.

    Args:
        path: The file.

    Raises:
        UsageError: h5py is missing, or the file is none of HDF5.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._open: tuple[int, Any] | None = None
        self.names()

    def __getstate__(self) -> dict[str, Any]:
        """Without the open file."""
        return {"path": self.path, "_open": None}

    def names(self) -> Mapping[str, Any]:
        """The groups of the file, which is opened once in each process."""
        if self._open is None or self._open[0] != os.getpid():
            self._open = os.getpid(), _hdf5(self.path)
        return self._open[1]

    def read(self, name: str) -> Regions:
        """The regions of a group, or of a data set in place of one.

        Args:
            name: The id of a picture.

        Raises:
            UsageError: The group lacks features, or they are of another form.
        """
        found = self.names()[name]
        arrays = {key: found[key][()] for key in found} if hasattr(found, "keys") else {"features": found[()]}
        return _regions(arrays, f"{self.path}, {name!r}")


class NpzFile(_ByName):
    """All pictures in one npz, each array as tall as there are pictures, or one array a picture by its id.

    Args:
        path: With `ids` and `features` (n, N, f), perhaps `boxes` (n, N, 4), `img_w` and `img_h` (n,); or with arrays
            called `<id>` or `<id>/features` and so on.

    Raises:
        UsageError: It is no npz, or of another form.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        content = _npz(self.path)
        self._of: dict[str, dict[str, np.ndarray]] = {}
        if "ids" in content:
            ids = [name.decode() if isinstance(name, bytes) else str(name) for name in content.pop("ids").tolist()]
            wrong = [key for key, array in content.items() if array.ndim == 0 or len(array) != len(ids)]
            if wrong:
                raise UsageError(f"expected {len(ids)} rows in {self.path}, as many as ids, found others in {wrong}")
            self._of = {name: {key: array[row] for key, array in content.items()} for row, name in enumerate(ids)}
            return
        for key, array in content.items():
            name, _, column = key.rpartition("/")
            known = name and any(column in columns for columns in COLUMNS.values())
            self._of.setdefault(name if known else key, {})[column if known else "features"] = array

    def names(self) -> Mapping[str, Any]:
        """The ids of the pictures."""
        return self._of

    def read(self, name: str) -> Regions:
        """The regions of a picture.

        Args:
            name: Its id.

        Raises:
            UsageError: The arrays are of another form.
        """
        return _regions(self._of[name], f"{self.path}, {name!r}")


class NpzFolder(_ByName):
    """A folder with one npz a picture, named after it; folders in it are part of the name.

    Args:
        path: The folder.

    Raises:
        UsageError: It holds no npz.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        files = sorted(self.path.rglob("*.npz"))
        if not files:
            raise UsageError(f"expected a store of regions, or .npz files, in {self.path}, found none", "path")
        self._files: dict[str, Path] = {}
        for file in files:
            relative = file.relative_to(self.path).with_suffix("").as_posix()
            self._files[relative] = file

    def names(self) -> Mapping[str, Any]:
        """The names of the files, without suffix."""
        return self._files

    def read(self, name: str) -> Regions:
        """The regions of a file.

        Args:
            name: One of `names`.

        Raises:
            UsageError: It cannot be read, or is of another form.
        """
        return _regions(_npz(self._files[name]), str(self._files[name]))


def _regions(arrays: Mapping[str, np.ndarray], where: str) -> Regions:
    """Regions from the arrays of one picture, by whatever names others have for them."""
    found = {own: next((arrays[name] for name in names if name in arrays), None) for own, names in COLUMNS.items()}
    if found["features"] is None:
        raise UsageError(f"expected an array 'features' in {where}, found {', '.join(arrays) or 'nothing'}")
    width, height = (None if found[side] is None else float(np.asarray(found[side])) for side in ("width", "height"))
    return Regions.of(found["features"], found["boxes"], width, height, where)


def _npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz; pickled objects are refused."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {key: content[key] for key in content.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise UsageError(f"cannot read regions from {path}: {error}") from None


def _hdf5(path: Path) -> Any:
    """An open HDF5 file."""
    try:
        import h5py
    except ImportError:
        raise UsageError(f"reading {path} needs h5py: pip install 'ofakit[regions]'") from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UsageError(f"cannot read regions from {path}: {error}") from None

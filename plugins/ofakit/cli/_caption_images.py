"""Finds the images of caption files, by the names given in the files or by ids that are file names.

Looked for are, in this order: a name as it is given, in the folder of `--images`, and beside the caption files; then in
that folder and the folders in it a file of that name, or one called so but for its ending (as CLIPScore's own script
has its ids), or the image that COCO numbers so (`COCO_val2014_000000391895.jpg`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ofakit.errors import UsageError

__all__ = ["find_images"]

_COCO = re.compile(r"(?:COCO_\w+_)?0*(\d+)$")
_SHOWN = 5


def find_images(names: Mapping[str, Sequence[str]], folder: Path | None, files: Iterable[Path]) -> dict[str, Path]:
    """The image of each item.

    Args:
        names: What the image of an item may be called, by item; the likeliest first.
        folder: Where images are, if it is told.
        files: The caption files, in whose folders images may lie too.

    Raises:
        UsageError: It is not a folder, or some items have no image, or several; the first of them are named.
    """
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--images: expected a folder, found {folder}")
    places = [Path(), *([] if folder is None else [folder]), *dict.fromkeys(file.parent for file in files)]
    found = {item: _named(own, places) for item, own in names.items()}
    if folder is not None and None in found.values():
        known = _index(folder)
        found = {item: path or _only(names[item], known) for item, path in found.items()}
    lacking = [item for item, path in found.items() if path is None]
    if lacking:
        shown = ", ".join(f"{next(iter(names[item]), item)[:80]!r}" for item in lacking[:_SHOWN])
        raise UsageError(
            f"the images of {len(lacking)} of {len(found)} items were not found, or more than one file matches: {shown}"
            f"{' …' if len(lacking) > _SHOWN else ''}; name the folder that contains them with --images"
        )
    return {item: path for item, path in found.items() if path is not None}


def _named(names: Iterable[str], places: Sequence[Path]) -> Path | None:
    """The first file of one of the names in one of the folders."""
    for name in names:
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):
            for place in places:
                if os.path.isfile(place / spelling):
                    return place / spelling
    return None


def _index(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder and the folders in it, by their name, by it without its ending, and by COCO's number."""
    known: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            number = _COCO.match(path.stem)
            keys = {path.name, path.stem} | ({f"#{number[1]}"} if number and len(path.stem) >= 12 else set())
            for key in keys:
                known.setdefault(key, []).append(path)
    return known


def _only(names: Iterable[str], known: Mapping[str, list[Path]]) -> Path | None:
    """The one file that is called so; None for none and for several."""
    for name in names:
        bare = PurePosixPath(name.replace("\\", "/")).name
        for key in (bare, f"#{bare}"):
            if len(known.get(key, ())) == 1:
                return known[key][0]
    return None

"""Examples from data sets that are already in memory: Hugging Face, ModelScope's `MsDataset`, or plain dicts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ofakit.data.example import Example
from ofakit.data.identity import merge
from ofakit.data.image_files import existing
from ofakit.data.json_files import captions_in, id_in, style_in, text_in
from ofakit.errors import UsageError, did_you_mean

__all__ = ["examples_from_dataset"]

FIELDS = {
    "id": ("id", "image_id"),
    "image": ("image", "image_path"),
    "text": ("text", "caption"),
    "references": ("references", "captions"),
    "style": ("style", "personality"),
    "group": ("group", "domain"),
}


def examples_from_dataset(dataset: Iterable[Any], column_map: Mapping[str, str] | None = None) -> list[Example]:
    """Turn rows into examples.

    Images of a Hugging Face `Image` column stay encoded: as a path where there is a file, else as its bytes.

    Args:
        dataset: A `datasets.Dataset`, an `MsDataset`, or anything that yields dicts or `Example` objects.
        column_map: The column of each field of `Example`, such as {"text": "comment"}. A field that is not mapped is
            looked for under its own name and its usual other one (`caption`, `captions`, `personality`, `image_path`).

    Returns:
        One example per row; rows that share an id, their image and their style are one with the references of all. The
        text of a row without references is also its one reference.

    Raises:
        UsageError: `column_map` names an unknown field or a column that is not there, a row is of the wrong type or
            has none of the columns, or there are several splits.

    >>> examples_from_dataset([{"image": "a.jpg", "comment": "a cat"}], {"text": "comment"})[0].references
    ('a cat',)
    """
    column_map = dict(column_map or {})
    for field in column_map:
        if field not in FIELDS:
            raise UsageError(f"unknown field {field!r} in the column map: {did_you_mean(field, FIELDS)}")
    rows = _encoded(dataset)
    return merge(_example(row, number, column_map) for number, row in enumerate(rows))


def _encoded(dataset: Iterable[Any]) -> Iterable[Any]:
    """The rows of a data set, with its images left encoded where it can be told so."""
    dataset = getattr(dataset, "ds_instance", dataset)
    if isinstance(dataset, Mapping):
        raise UsageError(f"expected the rows of one split, found {', '.join(map(repr, dataset))}: choose one")
    features = getattr(dataset, "features", None)
    if isinstance(features, Mapping) and hasattr(dataset, "cast_column"):
        for name, feature in features.items():
            if type(feature).__name__ == "Image":
                dataset = dataset.cast_column(name, type(feature)(decode=False))
    return dataset


def _example(row: Any, number: int, column_map: Mapping[str, str]) -> Example:
    where = f"row {number}"
    if isinstance(row, Example):
        style_in(row.style, where)
        return row
    if not isinstance(row, Mapping):
        raise UsageError(f"expected dicts or ofakit.data.Example, found {type(row).__name__} in row {number}")
    _require_content(row, column_map, where)
    cells = {field: _cell(row, field, number, column_map) for field in FIELDS}
    text = None if cells["text"] is None else captions_in(cells["text"], where)
    if text is not None and len(text) > 1:
        text, cells["references"] = None, cells["references"] or text
    references = captions_in(cells["references"], where) if cells["references"] is not None else text or ()
    own = id_in(cells["id"], where)
    return Example(
        id=str(number) if own is None else own,
        image=_image(cells["image"], where),
        text=text[0] if text else None,
        references=references,
        style=style_in(cells["style"], where),
        group=text_in(cells["group"], "a group", where),
    )


def _require_content(row: Mapping[str, Any], column_map: Mapping[str, str], where: str) -> None:
    """Refuse a row that has no column for an image or for captions."""
    names = [(column_map[f],) if f in column_map else FIELDS[f] for f in ("image", "text", "references")]
    expected = [column for columns in names for column in columns]
    if not any(column in row for column in expected):
        raise UsageError(
            f"expected an image or captions in {where}, in a column of {', '.join(expected)}; found the columns "
            f'{", ".join(map(str, row)) or "nothing"}: name them in the column map, as in {{"text": "comment"}}'
        )


def _cell(row: Mapping[str, Any], field: str, number: int, column_map: Mapping[str, str]) -> Any:
    if field in column_map:
        if column_map[field] not in row:
            raise UsageError(
                f"the column map sends {field!r} to {column_map[field]!r}, which row {number} does not have: "
                f"{did_you_mean(column_map[field], row)}"
            )
        return row[column_map[field]]
    return next((row[column] for column in FIELDS[field] if column in row), None)


def _image(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        path = value.get("path")
        return path if path and os.path.isfile(path) else _image(value.get("bytes") or path, where)
    if isinstance(value, str | Path):
        return str(existing(Path(value))) if "\\" in str(value) else value
    if value is None or isinstance(value, bytes | np.ndarray) or hasattr(value, "convert"):
        return value
    raise UsageError(f"expected a path, bytes, a PIL image or an array in {where}, found {type(value).__name__}")

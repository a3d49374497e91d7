"""Caption files of any system: their ids, their captions, and which entries belong together.

    predictions   [{"image_id": 1, "caption": "a dog"}, ...]                  COCO results
                  {"id": "1", "caption": "a dog"}                             one line per caption, also by its image
                  {"dog.jpg": "a dog"}                                        by name
    references    {"annotations": [{"image_id": 1, "caption": "A dog."}, ...]}  COCO annotations
                  {"images": [{"filename": ..., "sentences": [...]}, ...]}    Karpathy's files
                  {"id": "1", "captions": ["A dog.", "The dog."]}             one line per image, also by its image
                  {"dog.jpg": ["A dog.", "The dog."]}                         by name

Ids are compared as text, so 1, 1.0 and "1" are the same. Where both files name styles, a caption meets the references
of its style only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ofakit.data.style_names import SENTIMENTS, same_style
from ofakit.errors import UsageError
from ofakit.input_files import read_bytes
from ofakit.json_text import NotJson, from_json

__all__ = ["Entry", "Matched", "id_of", "indexed", "match", "own_reference_entries", "read_entries"]

_FORMATS = "COCO JSON or JSON lines, in UTF-8"
_SHOWN, _LONGEST = 5, 80
_IDS, _NAMES = ("image_id", "id"), ("image", "file_name", "filename", "image_path")
_CAPTIONS = ("caption", "captions", "references")
_WAYS = (("id", "id"), ("name", "name"), ("name", "file"), ("id", "name"), ("name", "id"), ("id", "number"))
"""Which name of a prediction is looked for among which names of the references, the first that finds all."""


class Entry(NamedTuple):
    """What one row of a file says.

    Attributes:
        names: What it is called, by the kind of name: `id`, `name` of the image, `file` without folders, `number`.
        captions: Its captions.
        style: Their style, if it names one.
        group: The part of the data it belongs to, if it names one.
        place: Its number in the file, from 1.
        is_list: Whether it has all captions of its image, which then come only once.
    """

    names: dict[str, str]
    captions: list[str]
    style: str | None = None
    group: str | None = None
    place: int = 0
    is_list: bool = False


class Matched(NamedTuple):
    """Captions beside the references of the same item.

    Attributes:
        captions: Caption by item.
        references: References by item, those without a caption among them.
        groups: Group by item, for items that have one.
        styles: Style by item, for captions that have one.
        names: What the image of an item may be called, by item: its names in both files, then its ids.
    """

    captions: dict[str, str]
    references: dict[str, list[str]]
    groups: dict[str, str]
    styles: dict[str, str]
    names: dict[str, list[str]]


def read_entries(path: Path, what: str) -> list[Entry]:
    """The entries of a file in any of the formats.

    Args:
        path: The file.
        what: "predictions" or "references".

    Raises:
        UsageError: The file is missing or of another format, an entry has no id, or a caption is not a string.
    """
    read = _prediction if what == "predictions" else _reference
    entries = (read(row, path, number) for number, row in enumerate(_rows(path, what), start=1))
    return [entry for entry in entries if entry is not None]


def own_reference_entries(path: Path) -> list[Entry]:
    """The references that the lines of predictions have themselves, as those of an evaluated run do.

    Args:
        path: JSON lines with `id`, `caption` and `references`.

    Raises:
        UsageError: The file is missing or of another format, or a line has no references.
    """
    entries = []
    for number, row in enumerate(_rows(path, "predictions"), start=1):
        if _is_summary(row):
            continue
        if not isinstance(row.get("references"), list):
            raise UsageError(
                f"{path}: entry {number}: expected references next to the caption; alternatively pass --references FILE"
            )
        entry = _reference({key: value for key, value in row.items() if key != "captions"}, path, number)
        entries.append(entry)
    return entries


def id_of(entry: Entry) -> str:
    """What an entry is called in results.

    Args:
        entry: Its id, or else the name of its image.
    """
    own = next(iter(entry.names.values()))
    return own if entry.style is None or own.endswith(f"#{entry.style}") else f"{own}#{entry.style}"


def match(
    predictions: Sequence[Entry], references: Sequence[Entry], predictions_name: str, references_name: str
) -> Matched:
    """Bring captions to the references of the same item.

    Args:
        predictions: At most one caption an item.
        references: All captions by people.
        predictions_name: The file, for messages.
        references_name: The file, for messages.

    Raises:
        UsageError: A prediction has no references, an item has two captions, or references are in several styles and
            predictions in none.
    """
    styled = any(e.style for e in predictions) and any(e.style for e in references)
    best: tuple[list[str], dict[str, Entry], list[Entry | None]] | None = None
    for ours, theirs in _WAYS:
        known = [entry for entry in references if theirs in entry.names]
        if not known or (predictions and not any(ours in entry.names for entry in predictions)):
            continue
        if theirs == "file" and not (_one_folder(known) and _one_folder(predictions)):
            continue
        index = indexed(known, theirs, styled, references_name)
        found = [index.get(_key(entry, "file" if theirs == "file" else ours, styled)) for entry in predictions]
        unknown = [_shown(entry, ours) for entry, other in zip(predictions, found, strict=True) if other is None]
        if best is None or len(unknown) < len(best[0]):
            best = unknown, index, found
        if not unknown:
            break
    unknown, index, found = best or ([_shown(entry, "id") for entry in predictions], {}, [])
    if unknown:
        raise UsageError(
            f"{predictions_name}: {len(unknown)} of {len(predictions)} ids are not in {references_name}: "
            f"{_some(unknown)}; ids there look like {_some(list(index)) or 'none'}"
        )
    return _beside(predictions, found, index, predictions_name)


def _one_folder(entries: Iterable[Entry]) -> bool:
    """Whether no two images in different folders have the same name, so that names without folders tell them apart."""
    names = {entry.names["name"] for entry in entries if "name" in entry.names}
    return len({PurePosixPath(name.replace("\\", "/")).name for name in names}) == len(names)


def _beside(
    predictions: Sequence[Entry], found: Sequence[Entry | None], index: Mapping[str, Entry], name: str
) -> Matched:
    captions: dict[str, str] = {}
    matched = Matched(captions, {id_of(entry): entry.captions for entry in index.values()}, {}, {}, {})
    used = set()
    for prediction, reference in zip(predictions, found, strict=True):
        if reference is None:
            continue
        bare, own = id_of(reference), id_of(reference)
        if prediction.style is not None and reference.style is None:
            own = id_of(reference._replace(style=prediction.style))
        if own in captions:
            shown = _shown(prediction, "id")
            raise UsageError(f"{name}: entry {prediction.place}: a second caption for id {shown!r}; keep one")
        captions[own] = prediction.captions[0]
        matched.references[own] = reference.captions
        names = (entry.names.get(kind) for kind in ("name", "id") for entry in (reference, prediction))
        matched.names[own] = [*dict.fromkeys(name for name in names if name is not None)]
        used.add((own, bare))
        if reference.group is not None:
            matched.groups[own] = reference.group
        if prediction.style is not None:
            matched.styles[own] = prediction.style
    for own, bare in used:
        if own != bare and bare not in captions:
            matched.references.pop(bare, None)
    return matched


def indexed(entries: Iterable[Entry], kind: str, styled: bool, name: str) -> dict[str, Entry]:
    """Entries by a name, those of one name joined.

    Args:
        entries: Those of a file.
        kind: The kind of name.
        styled: Whether the style is a part of the name.
        name: The file, for messages.

    Raises:
        UsageError: A name has two lists of captions, or captions in several styles that are not told apart.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        key = _key(entry, kind, styled)
        first = found.setdefault(key, entry)
        if first is entry:
            continue
        if not styled and same_style(first.style or "") != same_style(entry.style or ""):
            raise UsageError(
                f"{name}: entry {entry.place}: the references of id {_shown(entry, kind)!r} are in the styles "
                f"{_short(first.style or '')!r} and {_short(entry.style or '')!r}; give each prediction a `style` as "
                "well"
            )
        if first.is_list or entry.is_list:
            shown = _shown(entry, kind)
            raise UsageError(f"{name}: entry {entry.place}: a second list of captions for id {shown!r}; merge the two")
        found[key] = first._replace(captions=[*first.captions, *entry.captions])
    return found


def _key(entry: Entry, kind: str, styled: bool) -> str:
    """What is compared: a name without the style that a run adds to ids, and the style where both files have it."""
    own = entry.names.get(kind, "\0")
    if entry.style is not None and kind == "id":
        own = own.removesuffix(f"#{entry.style}")
    return f"{own}#{same_style(entry.style or '')}" if styled else own


def _shown(entry: Entry, kind: str) -> str:
    """What an entry is called in a message; short, since a name may be a whole image in base64."""
    return _short(entry.names.get(kind) or next(iter(entry.names.values())))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _prediction(row: Mapping[str, Any], path: Path, number: int) -> Entry | None:
    if _is_summary(row):
        return None
    names, caption = _names(row, path, number), row.get("caption")
    if isinstance(caption, list) and len(caption) == 1:
        caption = caption[0]
    if caption is None and "error" in row:
        caption = ""
    return Entry(names, [_caption(caption, path, number)], _label(row, "style", path, number), None, number)


def _is_summary(row: Mapping[str, Any]) -> bool:
    """Whether a line is the last of tools/caption.py, which counts the others."""
    return "errors" in row and isinstance(row.get("captions"), int)


def _reference(row: Mapping[str, Any], path: Path, number: int) -> Entry:
    names = _names(row, path, number)
    captions = row.get("captions", row.get("references"))
    is_list = captions is not None or isinstance(row.get("caption"), list)
    if captions is None:
        captions = row.get("caption")
        captions = captions if isinstance(captions, list) else [captions]
    if not isinstance(captions, list):
        raise UsageError(f"{path}: entry {number}: expected captions as a list of strings, found {captions!r:.100}")
    texts = [_caption(caption, path, number) for caption in captions]
    group = _label(row, "group" if "group" in row else "domain", path, number)
    return Entry(names, texts, _label(row, "style", path, number), group, number, is_list)


def _label(row: Mapping[str, Any], key: str, path: Path, number: int) -> str | None:
    """A style or group as text; None for none."""
    found = row.get(key)
    if found is None or found == "":
        return None
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        raise UsageError(f"{path}: entry {number}: expected the {key} as a string, found {found!r:.100}")
    return _text(found) or str(found)


def _names(row: Mapping[str, Any], path: Path, number: int) -> dict[str, str]:
    names = {}
    given = next((row[column] for column in _IDS if row.get(column) is not None), None)
    if given is not None:
        names["id"] = _text(given)
    name = next((row[column] for column in _NAMES if isinstance(row.get(column), str)), None)
    if name is not None:
        names["name"] = name
        names["file"] = PurePosixPath(name.replace("\\", "/")).name
    if isinstance(row.get("number"), int):
        names["number"] = str(row["number"])
    if not names or names.get("id") == "":
        raise UsageError(
            f"{path}: entry {number}: expected image_id or id, a number or a string, or the name of an image; found "
            f"{str(dict(row))[:100]}"
        )
    return names


def _text(given: Any) -> str:
    """An id as text; a whole number is written without a point. Empty for what is not an id."""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    return "" if isinstance(given, bool) or not isinstance(given, int | str) else str(given)


def _caption(caption: Any, path: Path, number: int) -> str:
    if not isinstance(caption, str):
        raise UsageError(f"{path}: entry {number}: expected the caption as a string, found {caption!r:.100}")
    return caption


def _rows(path: Path, what: str) -> list[Mapping[str, Any]]:
    """The entries of a file, each as an object with an id or a name and captions."""
    content = _content(path, what)
    if isinstance(content, dict):
        content = list(_rows_of_object(content))
    if not isinstance(content, list):
        raise UsageError(f"{path}: expected {what} as {_FORMATS}, found {str(content)[:60]!r}")
    for number, row in enumerate(content, start=1):
        if not isinstance(row, dict):
            raise UsageError(f"{path}: entry {number}: expected an object with an id and a caption, found {row!r:.100}")
    return content


def _rows_of_object(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The entries of COCO's annotations, of Karpathy's file, or by name; else the object is the only entry."""
    images = content.get("images")
    if isinstance(content.get("annotations"), list):
        rows = images if isinstance(images, list) else []
        about = {_text(row.get("id")): row for row in rows if isinstance(row, dict)}
        for row in content["annotations"]:
            own = about.get(_text(row.get("image_id")), {}) if isinstance(row, dict) else {}
            extra = {key: own[key] for key in ("file_name", "domain") if key in own}
            yield {**extra, **row} if isinstance(row, dict) else row
    elif isinstance(images, list) and all(isinstance(row, dict) for row in images):
        for row in images:
            yield from _rows_of_karpathy(row)
    elif not any(column in content for column in (*_IDS, *_NAMES, *_CAPTIONS)) and all(
        isinstance(value, str | list) for value in content.values()
    ):
        for name, captions in content.items():
            yield {"id": name, "caption": captions}
    else:
        yield content


def _rows_of_karpathy(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    sentences = row.get("sentences")
    if not isinstance(sentences, list):
        yield row
        return
    folder = row.get("filepath")
    name = str(PurePosixPath(folder if isinstance(folder, str) else "", str(row.get("filename"))))
    own = {"id": row.get("cocoid"), "image": name, "number": row.get("imgid")}
    for sentence in sentences:
        told = sentence if isinstance(sentence, dict) else {}
        sentiment = told.get("sentiment")
        style = SENTIMENTS[sentiment] if sentiment in (0, 1) else told.get("style")
        yield {**own, "caption": told.get("raw"), "style": style}


def _content(path: Path, what: str) -> Any:
    content = read_bytes(path, f"{what} as {_FORMATS}")
    try:
        text = content.decode("utf-8-sig")
        return from_json(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: expected {what} as {_FORMATS}, found: {error}") from error
    except UsageError as error:
        if not isinstance(error, NotJson):
            raise UsageError(f"{path}: {error}") from None
        return [_line(line, path, n, what) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _line(line: str, path: Path, number: int, what: str) -> Any:
    try:
        return from_json(line)
    except ValueError as error:
        raise UsageError(f"{path}: line {number}: expected {what} as {_FORMATS}, found: {error}") from error


def _some(names: list[str]) -> str:
    return ", ".join(repr(_short(name)) for name in names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")

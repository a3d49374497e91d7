"""What a hostile or unlucky user does to JSON files, seeded: the same number gives the same mutation anywhere.

A mutation is of the text, since much of what goes wrong in JSON is no value in Python: keys that stand twice, numbers
of 5,000 digits, brackets 100,000 deep.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

__all__ = ["Mutation", "damaged", "hostile", "mutated", "paths_in"]

MARK = "\x01mark\x01"
NUMBERS = (
    "-1 0 1 2 3 0.5 -0.5 1e999 -1e999 NaN Infinity 1e308 1e-320 1e5 4294967296 2147483648 9223372036854775808 "
    "18446744073709551616 1" + "0" * 60
).split()
TEXTS = (
    "", " ", "x", "../beside", "/proc/nowhere", ".", "a/b", "no/such/folder/here", "train",
    "\x00", "\ud800", "\n", "x" * 5000,
    "~nobody/x", "train[5:2]", "train[::-1]", "train[:1000%]", "{}", "{", "cider", "1", "true", "ünï", "-", "base64",
)  # fmt: skip
SHAPES = (
    "null", "true", "false", "[]", "{}", "[[]]", "[null]", '{"a": 1}', '{"type": 3}', '{"type": "x"}', '{"type": ""}',
    "[5, -3]", "[0.9, 0.999]", "[1e999, 0]", '["x", "x"]', "[0, 0]", "[3, 1, 2]", '[{"type": "x"}]', '["a"]',
    '{"": {"": []}}', "[-1]", '{"visual": -1}', '{"visual": 1e999}',
)  # fmt: skip
MONSTERS = ("9" * 5000, "-" + "9" * 5000, "[" * 100_000 + "]" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000)


class Mutation(NamedTuple):
    """What was made of a file, and what a person is told of it."""

    content: bytes
    about: str


def hostile(rng: random.Random, extra: Sequence[str] = ()) -> str:
    """A value as JSON text.

    Args:
        rng: Chooses.
        extra: Further texts, such as paths of FIFOs.
    """
    kind = rng.random()
    if kind < 0.45:
        return rng.choice(NUMBERS)
    if kind < 0.70:
        return json.dumps(rng.choice((*TEXTS, *extra, *extra)))
    return rng.choice(SHAPES) if kind < 0.95 else rng.choice(MONSTERS)


def paths_in(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a document but of itself.

    Args:
        value: The document.
        above: What leads to it.
    """
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*above, key)
        yield from paths_in(item, (*above, key))


def mutated(
    document: Any, rng: random.Random, keys: Sequence[tuple[Any, ...]] = (), extra: Sequence[str] = ()
) -> Mutation:
    """A document with one or two values replaced, taken away, renamed or said twice.

    Args:
        document: What JSON can hold.
        rng: Chooses.
        keys: Paths that may be set although the document has them not.
        extra: Further texts for values.
    """
    changed, replaced, about = copy.deepcopy(document), [], []
    for _ in range(rng.choice((1, 1, 1, 2))):
        present = list(paths_in(changed))
        path = rng.choice(keys if keys and (rng.random() < 0.6 or not present) else present or [()])
        name, kind = ".".join(map(str, path)), rng.random()
        parent = _parent(changed, path)
        if parent is None or not path:
            continue
        if kind < 0.85:
            value = hostile(rng, extra)
            _put(parent, path[-1], f"{MARK}{len(replaced)}")
            replaced.append(value)
            about.append(f"{name} = {value:.60}")
        elif kind < 0.93:
            about.append(f"{name} taken away")
            _take(parent, path[-1])
        elif isinstance(parent, dict):
            about.append(f"{name} also as {name}x")
            parent[f"{path[-1]}x"] = copy.deepcopy(parent.get(path[-1]))
    text = json.dumps(changed)
    for number, value in enumerate(replaced):
        text = text.replace(json.dumps(f"{MARK}{number}"), value)
    if rng.random() < 0.05:
        return damaged(text.encode(), rng)
    return Mutation(text.encode(), ", ".join(about) or "nothing")


def damaged(content: bytes, rng: random.Random) -> Mutation:
    """A file with some of its bytes changed, cut or said twice.

    Args:
        content: The file.
        rng: Chooses.
    """
    kind, place = rng.randrange(8), rng.randrange(len(content) + 1)
    if kind == 0:
        return Mutation(content[:place], f"cut at {place}")
    if kind == 1:
        return Mutation(content[:place] + b"\xff\xfe" + content[place:], f"no UTF-8 at {place}")
    if kind == 2:
        return Mutation(b"", "empty")
    if kind == 3:
        return Mutation(b"\xef\xbb\xbf" + content, "byte order mark")
    if kind == 4:
        return Mutation(content.replace(b"{", b'{"a": 1, "a": 2, ', 1), "a key twice")
    if kind == 5:
        return Mutation(b"[" * 100_000, "100,000 brackets")
    if kind == 6:
        return Mutation(content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :], f"one byte at {place}")
    return Mutation(content.decode("utf-8", "replace").encode("utf-16"), "UTF-16")


def _parent(document: Any, path: tuple[Any, ...]) -> Any:
    """What holds the last part of a path, made where it is missing; None where something else is there."""
    for part in path[:-1]:
        if isinstance(document, dict):
            if document.get(part) is None:
                document[part] = {}
            document = document[part]
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            document = document[part]
        else:
            return None
    return document if isinstance(document, dict | list) else None


def _put(parent: Any, key: Any, value: Any) -> None:
    if isinstance(parent, dict) or isinstance(key, int) and key < len(parent):
        parent[key] = value
    else:
        parent.append(value)


def _take(parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        parent.pop(key, None)
    elif isinstance(key, int) and key < len(parent):
        del parent[key]

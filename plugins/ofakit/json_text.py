"""JSON as ofakit writes and reads it: any parser can read what is written, and what is read can do no harm.

Written: RFC 8259 knows no NaN, and UTF-8 no half of a character. A number that is not finite becomes null. A lone
surrogate, which Python makes of a file name that is not UTF-8, becomes an escape, which comes back as it was.

Read: a key that stands twice, of which `json.loads` takes the last, a number of thousands of digits and brackets by the
thousand are refused with the key that leads to them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ofakit.errors import UsageError

__all__ = ["DEEPEST", "NotJson", "finite_or_none", "from_json", "to_json"]

DEEPEST = 100
"""How deep lists and objects may lie in each other."""

SURROGATE = re.compile("[\ud800-\udfff]")
STRUCTURE = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"(\s*:)?', re.DOTALL)
"""What shows how deep a text is: brackets, and strings, which may hold some. Those before a colon are keys."""


class NotJson(UsageError):
    """A text is not JSON; the message says where it ceases to be, without the name of the file."""


class _Fault(NamedTuple):
    """What stands in place of a value that is refused."""

    reason: str


def from_json(text: str | bytes) -> Any:
    """The value that a JSON text holds.

    Args:
        text: The text, or its bytes in UTF-8, with a byte order mark or without.

    Raises:
        NotJson: It is not JSON, or not UTF-8.
        UsageError: A key stands twice in an object, a number has more digits than Python takes, or lists and objects
            lie deeper in each other than `DEEPEST`. The message names the key, but not the file.

    >>> from_json('{"lr": [1e-3, null]}')
    {'lr': [0.001, None]}
    >>> from_json('{"train": {"lr": 1, "lr": 2}}')
    Traceback (most recent call last):
    ofakit.errors.UsageError: train.lr: the key appears twice
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        value = DECODER.decode(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotJson(str(error)) from None
    except RecursionError:
        raise _too_deep(str(text)) from None
    except ValueError:  # a key that stands twice, or a number that is too long
        raise UsageError(_first_fault(str(text))) from None
    if text.count("[") + text.count("{") > DEEPEST and _is_deep(value):
        raise _too_deep(text)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key appears twice")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def _object_with_faults(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        found[key] = _Fault("the key appears twice") if key in found else value
    return found


def _integer(digits: str) -> int | _Fault:
    try:
        return int(digits)
    except ValueError:
        return _Fault(f"a number of {len(digits)} digits is too long")


def _first_fault(text: str) -> str:
    """The first value that is refused, with the keys that lead to it."""
    decoder = json.JSONDecoder(object_pairs_hook=_object_with_faults, parse_int=_integer)
    try:
        value, _ = decoder.raw_decode(text.lstrip())
    except json.JSONDecodeError as error:  # behind the fault
        raise NotJson(str(error)) from None
    return next(f"{keys}: {fault.reason}" if keys else fault.reason for keys, fault in _faults(value, ""))


def _faults(value: Any, keys: str) -> Iterator[tuple[str, _Fault]]:
    if isinstance(value, _Fault):
        yield keys, value
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _faults(item, f"{keys}.{key}" if keys else str(key))


def _is_deep(value: Any) -> bool:
    """Whether lists and objects lie too deep in each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEEPEST):
        inside = (item for outer in level for item in (outer.values() if isinstance(outer, dict) else outer))
        level = [item for item in inside if isinstance(item, dict | list)]
    return bool(level)


def _too_deep(text: str) -> UsageError:
    """What is said of a text that is too deep, with the first keys that lead there."""
    keys: list[str] = []
    for found in STRUCTURE.finditer(text):
        if found[0] in "[{":
            keys.append("")
        elif found[0] in "]}":
            del keys[-1:]
        elif found[1] is not None and keys:
            keys[-1] = found[0][1 : found[0].rindex('"')]
        if len(keys) > DEEPEST:
            break
    where = ".".join([key for key in keys if key][:3])
    return UsageError(f"{where + ': ' if where else ''}lists and objects are nested more than {DEEPEST} deep")


def to_json(value: Any, indent: int | None = None, sort_keys: bool = False) -> str:
    """A value as JSON, without a line break at the end.

    Args:
        value: Whatever JSON can hold, and also NaN and infinity, which it cannot.
        indent: Spaces a level; None writes one line.
        sort_keys: Whether keys are sorted.

    >>> to_json({"ü": [1.5, float("nan")], "name": "caf\\udce9"})
    '{"ü": [1.5, null], "name": "caf\\\\udce9"}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, sort_keys=sort_keys)
    except ValueError:  # a circle, which is refused again, or a number that is not finite
        finite = finite_or_none(value)
        text = json.dumps(finite, ensure_ascii=False, allow_nan=False, indent=indent, sort_keys=sort_keys)
    return SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def finite_or_none(value: Any) -> Any:
    """The value, with None in place of numbers that JSON cannot hold.

    Args:
        value: Anything; dicts, lists and tuples are looked into.
    """
    if isinstance(value, dict):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

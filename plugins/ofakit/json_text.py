"""JSON that every parser reads, for all that ofakit writes: RFC 8259 knows no NaN, and UTF-8 no half of a character.

A number that is not finite becomes null. A lone surrogate, which Python makes of a file name that is not UTF-8, becomes
an escape, which comes back as it was.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = ["finite_or_none", "to_json"]

SURROGATE = re.compile("[\ud800-\udfff]")


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

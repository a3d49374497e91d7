"""Read pickles that hold only numbers, texts, lists, tuples and dicts; one that would run anything else is refused."""

from __future__ import annotations

import io
import itertools
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ofakit.data.json_files import require_file
from ofakit.errors import UsageError
from ofakit.json_text import DEEPEST

__all__ = ["read_plain_pickle"]

PLAIN = {
    ("collections", "defaultdict"), ("collections", "OrderedDict"), ("collections", "Counter"),
    *((module, name) for module in ("builtins", "__builtin__") for name in ("float", "int", "list", "dict", "set")),
}  # fmt: skip


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which plain data does not")
        return super().find_class(module, name)


def read_plain_pickle(path: Path, what: str) -> Any:
    """Read a pickle of plain data, of Python 2 or 3.

    Args:
        path: The file.
        what: What it should hold, for the message.

    Raises:
        UsageError: It is missing, broken, holds more than plain data, or is a bomb: lists in lists in lists, or a list
            that holds another ten times, which holds another ten times, and so on.
    """
    content = require_file(path, what).read_bytes()
    try:
        value = _Plain(io.BytesIO(content), encoding="utf-8").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        reason = str(error) or type(error).__name__
        raise UsageError(f"expected {what} as a pickle of plain data in {path}, found: {reason}") from error
    bomb = _bomb(value, len(content))
    if bomb is not None:
        raise UsageError(f"expected {what} as a pickle of plain data in {path}, found {bomb}")
    return value


def _bomb(value: Any, size: int) -> str | None:
    """Why nobody should walk over a value: it is too deep, or a few bytes say it many times over; None for others."""
    level, seen = [value], 0
    for _ in range(DEEPEST):
        level = [item for outer in level for item in _inside(outer)]
        seen += len(level)
        if not level:
            return None
        if seen > size:
            return f"more than {size} values in {size} bytes"
    return f"values nested more than {DEEPEST} deep"


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return itertools.chain(value, value.values())
    return value if isinstance(value, list | tuple | set) else ()

"""Read pickles that hold only numbers, texts, lists, tuples and dicts; one that would run anything else is refused."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from ofakit.data.json_files import require_file
from ofakit.errors import UsageError

__all__ = ["read_plain_pickle"]

PLAIN = {
    ("collections", "defaultdict"), ("collections", "OrderedDict"), ("collections", "Counter"),
    *((module, name) for module in ("builtins", "__builtin__") for name in ("float", "int", "list", "dict", "set")),
}  # fmt: skip


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PLAIN:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which plain data does not")
        return super().find_class(module, name)


def read_plain_pickle(path: Path, what: str) -> Any:
    """Read a pickle of plain data, of Python 2 or 3.

    Args:
        path: The file.
        what: What it should hold, for the message.

    Raises:
        UsageError: It is missing, broken, or holds more than plain data.
    """
    content = require_file(path, what).read_bytes()
    try:
        return _Plain(io.BytesIO(content), encoding="utf-8").load()
    except Exception as error:  # a broken pickle can raise nearly anything
        raise UsageError(f"expected {what} as a pickle of plain data in {path}, found: {error}") from error

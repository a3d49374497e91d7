"""Check one value of a configuration against the annotation of what takes it."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

from ofakit.errors import UsageError

__all__ = ["checked_value", "resolved_annotations"]

RANGES = (
    "finite_number", "greater_than", "greater_than_equal", "less_than", "less_than_equal", "string_pattern_mismatch",
    "string_too_long", "too_short", "too_long",
)  # fmt: skip
"""What pydantic calls the faults of values of the right type."""


def checked_value(value: Any, annotation: Any, key: str, owner: str) -> Any:
    """A value of the annotated type, converted by the rules of the other sections: an int for a float is fine.

    Args:
        value: From a configuration.
        annotation: A type, such as `int | None`; where it cannot be checked, every value passes.
        key: The value's key.
        owner: What has the key, such as "reader 'scenes'", for the message.

    Raises:
        UsageError: The value is of a different type.

    >>> checked_value(3, float, "weight", "reward 'length'")
    3.0
    """
    from pydantic import ValidationError

    adapter = _adapter(annotation)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        fault = error.errors()[0]
        found = f"{value!r:.200}"
        if fault["type"] in RANGES:
            raise UsageError(f"key {key!r} of {owner}: {fault['msg']}, found {found}", key) from None
        raise UsageError(f"key {key!r} of {owner}: expected {_spelled(annotation)}, found {found}", key) from None


def _spelled(annotation: Any) -> str:
    """A type as it is written in a file, on every version of Python.

    >>> _spelled(typing.Optional[str]), _spelled(list[int]), _spelled(typing.Annotated[int, "positive"])
    ('str | None', 'list[int]', 'int')
    """
    if hasattr(annotation, "__metadata__"):
        return _spelled(annotation.__origin__)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(map(_spelled, typing.get_args(annotation)))
    if annotation is type(None):
        return "None"
    is_class = isinstance(annotation, type) and not typing.get_args(annotation)
    wanted = annotation.__name__ if is_class else str(annotation)
    return wanted.replace("collections.abc.", "").replace("typing.", "").replace("pathlib.", "")


def _adapter(annotation: Any) -> Any:
    """What checks values of a type, finite numbers alone; None if the type cannot be checked."""
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(annotation, config=ConfigDict(allow_inf_nan=False))
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            return None
    return TypeAdapter(annotation)  # a section or dataclass, which has a configuration of its own


def resolved_annotations(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function or of a class's constructor; none where one of them is not imported at run time.

    Args:
        function: The function or class.
    """
    try:
        if isinstance(function, type):
            # The class is the one that is about to be built, so its own constructor is meant.
            return typing.get_type_hints(function.__init__, include_extras=True)  # type: ignore[misc]
        return typing.get_type_hints(function, include_extras=True)
    except NameError:
        return {}

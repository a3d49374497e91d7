"""Which columns of a row hold which fields: the usual names, or those that a configuration gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ofakit.errors import UsageError, did_you_mean

__all__ = ["Columns"]


class Columns:
    """The columns of the fields of one kind of row.

    Args:
        usual: The names that a field's column may have, by field; the first that a row has is taken.
        own: The column of a field where it has another name, by field; None leaves the field out.
        argument: The key of the configuration that `own` stands under, for messages.

    Raises:
        UsageError: `own` names a field that there is none of.

    >>> columns = Columns({"id": ("id", "_id"), "text": ("text",)}, {"text": "body"}, "columns")
    >>> columns.get({"_id": 3, "body": "x", "text": "y"}, "id"), columns.get({"_id": 3, "text": "y"}, "text")
    (3, None)
    """

    def __init__(self, usual: Mapping[str, Sequence[str]], own: Mapping[str, str | None] | None, argument: str) -> None:
        self.own = dict(own or {})
        for field in self.own:
            if field not in usual:
                raise UsageError(f"unknown field {field!r} in {argument!r}: {did_you_mean(field, usual)}", argument)
        given = {field: (column,) if column else () for field, column in self.own.items()}
        self.names: dict[str, tuple[str, ...]] = {field: tuple(names) for field, names in usual.items()} | given
        self.argument = argument
        self._missing = {column for column in self.own.values() if column}

    def get(self, row: Mapping[str, Any], field: str) -> Any:
        """The cell of a field; None if the row has no such column.

        Args:
            row: A row of a file.
            field: One of the fields.
        """
        for column in self.names[field]:
            if column in row:
                self._missing.discard(column)
                return row[column]
        return None

    def require(self, row: Mapping[str, Any], field: str, where: str) -> Any:
        """The cell of a field that every row must have.

        Args:
            row: A row of a file.
            field: One of the fields.
            where: The file, for the message.

        Raises:
            UsageError: The row has no such column, or it is null; the message names the nearest column.
        """
        value = self.get(row, field)
        if value is not None:
            return value
        wanted = " or ".join(repr(column) for column in self.names[field]) or f"for the {field}"
        found = next((column for column in self.names[field] if column in row), None)
        if found is not None:
            raise UsageError(f"expected a value in {where}, column {found!r}, found null")
        name = self.names[field][0] if self.names[field] else field
        raise UsageError(
            f"expected the column {wanted} in {where}: {did_you_mean(name, row)}. Name another with "
            f"{self.argument} = {{{field!r}: COLUMN}}"
        )

    def refuse_missing(self, where: str) -> None:
        """Refuse a configuration that names columns which no row had, once all rows have been looked at.

        Args:
            where: The file, for the message.

        Raises:
            UsageError: A column that the configuration names was in no row.
        """
        if self._missing:
            names = ", ".join(repr(column) for column in sorted(self._missing))
            raise UsageError(f"{self.argument} names {names}; no row of {where} has it", self.argument)

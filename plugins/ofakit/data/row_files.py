"""Rows of large files, one after the other: JSON lines, packed or not, Parquet, and Arrow as `datasets` saves it.

A folder stands for the files in it, in the order of their names, as data sets on the Hugging Face hub have them:

    passages/data/train-00000-of-00011.parquet …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ofakit.data.json_files import iter_jsonl, require_file
from ofakit.errors import UsageError

__all__ = ["iter_rows", "row_files"]

JSON_LINES = (".jsonl", ".jsonl.gz", ".json.gz")
COLUMNAR = (".parquet", ".arrow")
ROWS_AT_ONCE = 4096


def iter_rows(path: Path, what: str, columns: Sequence[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the rows of a file, or of the files of a folder, without holding more than some thousands.

    Args:
        path: The file or folder.
        what: What it should hold, for the message.
        columns: The columns to read, where the format can leave others out; None for all.

    Yields:
        Where a row stands, such as "passages.jsonl, line 3", and the row.

    Raises:
        UsageError: It is missing or of another format, or a row cannot be read.
    """
    for file in row_files(path, what):
        if file.suffix in COLUMNAR:
            for number, row in enumerate(_columnar_rows(file, what, columns), start=1):
                yield f"{file}, row {number}", row
        else:
            for number, row in iter_jsonl(file, what):
                yield f"{file}, line {number}", row


def row_files(path: Path, what: str) -> list[Path]:
    """The files that hold rows.

    Args:
        path: A file, or a folder of such files, or one with a folder `data`.
        what: What it should hold, for the message.

    Raises:
        UsageError: There is none.
    """
    if not path.is_dir():
        require_file(path, what)
        if not _holds_rows(path) and path.suffix != ".json":
            raise UsageError(f"expected {what} as one of {', '.join((*JSON_LINES, *COLUMNAR))}, found {path}")
        return [path]
    found = sorted(file for file in (*path.iterdir(), *(path / "data").glob("*")) if _holds_rows(file))
    suffixes = {file.suffix for file in found}
    if not found or len(suffixes) > 1:
        names = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        kinds = ", ".join((*JSON_LINES, *COLUMNAR))
        raise UsageError(
            f"expected {what} in the folder {path} as files of one kind out of {kinds}; it contains {names}"
        )
    return found


def _holds_rows(file: Path) -> bool:
    hidden = file.name.startswith((".", "cache-"))
    return file.is_file() and not hidden and file.name.endswith((*JSON_LINES, *COLUMNAR))


def _columnar_rows(file: Path, what: str, columns: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"{what} in {file} need pyarrow: pip install pyarrow") from None
    try:
        if file.suffix == ".parquet":
            table = pyarrow.parquet.ParquetFile(file, memory_map=True)
            wanted = None if columns is None else [name for name in table.schema_arrow.names if name in columns]
            batches = table.iter_batches(batch_size=ROWS_AT_ONCE, columns=wanted)
        else:
            batches = pyarrow.ipc.open_stream(pyarrow.memory_map(str(file)))
        for batch in batches:
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise UsageError(f"expected {what} in {file}, found: {error}") from error

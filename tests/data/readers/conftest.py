"""What tests of readers share: files of a data set, written into a folder of the test's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of the data set: text as it is, several rows as JSON lines, anything else as JSON."""

    def write(name: str, *content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl" and not isinstance(content[0], str):
            text = "".join(json.dumps(row) + "\n" for row in content)
        else:
            text = content[0] if isinstance(content[0], str) else json.dumps(content[0])
        path.write_text(text, encoding="utf-8")
        return path

    return write

"""A sweep over a pretended tool, in a folder of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PRETENDED = Path(__file__).with_name("pretend_finetune.py")


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """Write a sweep's file: a grid of three runs, changed by the keys that are given."""

    def write(**keys: Any) -> Path:
        if not (tmp_path / "base.json").exists():
            (tmp_path / "base.json").write_text("{}")
        values = {
            "base": "base.json",
            "work_dir": str(tmp_path / "sweep"),
            "command": [sys.executable, str(PRETENDED)],
            "parameters": {"gain": [1.0, 3.0, 2.0]},
            "search": {"type": "grid"},
            **keys,
        }
        path = tmp_path / "sweep.json"
        path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
        return path

    return write


@pytest.fixture
def run(write_sweep: Callable[..., Path]) -> Callable[..., dict[str, Any]]:
    """Run such a sweep in this process."""
    from ofakit.sweeps import load_sweep, run_sweep

    def run(engine: str = "local", retry_failed: bool = False, **keys: Any) -> dict[str, Any]:
        return run_sweep(load_sweep(write_sweep(**keys)), ["unused"], engine, retry_failed)

    return run


def starts(folder: Path) -> list[dict[str, Any]]:
    """Every start of a pretended run."""
    path = folder / "starts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def starts_of(tmp_path: Path) -> Callable[[int], list[dict[str, Any]]]:
    """Every start of a run of the sweep, by its number."""
    return lambda number: starts(tmp_path / "sweep" / "runs" / str(number))

"""The schema of a sweep's file that is shipped is that of its keys, with those of every search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.sweeps import sweep_schema as module
from ofakit.sweeps.sweep_schema import sweep_schema

SWEEP = {"base": "a.json", "parameters": {"seed": [1, 2]}, "search": {"type": "random", "runs": 2}}


def test_schema_that_is_shipped_is_up_to_date():
    file = Path(module.__file__).with_name("sweep.schema.json")
    assert json.loads(file.read_text(encoding="utf-8")) == sweep_schema(), "run python -m ofakit.sweeps.sweep_schema"


@pytest.mark.parametrize(
    ("change", "is_right"),
    [
        ({}, True),
        ({"parameters": {"lr": {"low": 0.1, "high": 1, "log": True}}}, True),
        ({"search": {"type": "tpe", "runs": 9, "pruning": {"type": "median"}}}, True),
        ({"search": {"type": "asha", "runs": 9, "max_steps": 900, "grace_steps": 100}}, True),
        ({"$schema": "x", "extends": "b.json"}, True),
        ({"search": {"type": "random", "rums": 2}}, False),
        ({"parameters": {"lr": []}}, False),
        ({"parameters": {"lr": {"lo": 0.1}}}, False),
        ({"metrik": "cider"}, False),
    ],
)
def test_an_editor_is_told_what_a_sweep_takes(change, is_right):
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema")
    assert jsonschema.Draft202012Validator(sweep_schema()).is_valid({**SWEEP, **change}) is is_right

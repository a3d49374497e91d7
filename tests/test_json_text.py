"""Whatever is written as JSON is JSON, and text comes back from it as it was."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.json_text import finite_or_none, to_json

PACKAGE = Path(__file__).resolve().parents[1] / "plugins" / "ofakit"
NOT_WRITTEN = {
    "cli/_common.py": "prints", "config/reference.py": "prints",
    "cli/mine.py": "hashes", "data/fingerprint.py": "hashes", "data/readers/_generated.py": "hashes",
    "models/reading.py": "hashes", "retrieval/item_digest.py": "hashes",
    "models/weights.py": "a message",
    "scores/spice.py": "is read by Java, as ASCII",
    "sweeps/load_sweep.py": "arguments of a command", "sweeps/searches/tpe.py": "names of choices",
    "json_text.py": "",
}  # fmt: skip

# Two surrogates in a row, a high and a low one, come back as one character: JSON cannot tell them from it.
characters = st.characters(exclude_categories=["Cs"]) | st.just("\udcff")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(characters),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(characters), inner),
    max_leaves=8,
)


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


@settings(deadline=None)
@given(values, st.sampled_from([None, 1]))
def test_it_is_json_in_utf8_and_comes_back(value, indent):
    text = to_json(value, indent)
    assert json.loads(text.encode("utf-8"), parse_constant=refuse) == finite_or_none(value)


@pytest.mark.parametrize("text", ["\ud800", "a\udcff.jpg", "\udfff\ud800", "\\ud800", "snow ☃ and 🐈"])
def test_names_that_are_not_utf8_come_back(text):
    assert json.loads(to_json({text: [text]}).encode()) == {text: [text]}


def test_numbers_that_are_not_finite_are_null_wherever_they_are():
    assert to_json({"a": (1.0, [math.nan, -math.inf])}) == '{"a": [1.0, [null, null]]}'
    assert to_json({"b": 1, "a": 2}, sort_keys=True) == '{"a": 2, "b": 1}'


def test_a_circle_is_refused():
    circle = []
    circle.append(circle)
    with pytest.raises((ValueError, RecursionError)):
        to_json(circle)


def test_nothing_is_written_in_another_way():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"json\.dumps?\(|import dumps?\b", path.read_text(encoding="utf-8"))
    }
    assert found == set(NOT_WRITTEN)

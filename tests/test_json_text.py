"""Whatever is written as JSON is JSON, and text comes back from it as it was."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.json_text import DEEPEST, NotJson, finite_or_none, from_json, to_json

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

OTHERS_READ = {
    "data/stored_base.py": "lines of our own, by the million",
    "scores/spice.py": "what Java answers", "sweeps/searches/tpe.py": "names of choices",
    "text/training.py": "what the library says of itself",
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


@settings(deadline=None)
@given(values, st.sampled_from([None, 1]))
def test_what_is_written_is_read(value, indent):
    text = to_json(value, indent)
    assert from_json(text) == from_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 1}', "a: the key appears twice"),
        ('{"train": [0, {"lr": 1, "lr": 2}]}', r"train\.1\.lr: the key appears twice"),
        ('{"train": {"lr": ' + "9" * 5000 + "}}", r"train\.lr: a number of 5000 digits is too long"),
        ('{"a": [1, -' + "9" * 4301 + "]}", r"a\.1: a number of 4302 digits"),
        ("[" * 100_000 + "]" * 100_000, "^lists and objects are nested more than 100 deep"),
        ('{"data": {"x]": "[", "reader": ' + "[" * 100 + "]" * 100 + "}}", r"data\.reader: lists and objects"),
        ('{"a":' * 5000 + "1" + "}" * 5000, r"a\.a\.a: lists and objects"),
    ],
)  # fmt: skip
def test_what_does_harm_is_refused_with_its_key(text, message):
    with pytest.raises(UsageError, match=message) as caught:
        from_json(text)
    assert not isinstance(caught.value, NotJson)


@pytest.mark.parametrize("text", ["{", "", "nothing", '{"a": 1}{', b"\xff", '{"x": {"a": 1, "a": 2}, y'])
def test_what_is_no_json_is_told_apart(text):
    with pytest.raises(NotJson):
        from_json(text)


def test_as_deep_as_allowed_is_read():
    text = "[" * DEEPEST + "]" * DEEPEST
    assert from_json(text) == json.loads(text)
    with pytest.raises(UsageError, match="deep"):
        from_json(f"[{text}]")


def test_nothing_is_read_in_another_way():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(r"json\.loads?\b|import loads?\b|JSONDecoder", path.read_text(encoding="utf-8"))
    }
    assert found == set(OTHERS_READ)

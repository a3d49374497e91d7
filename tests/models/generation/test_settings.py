"""The settings of a search are the declared ones, and what is out of range is refused with its range."""

from __future__ import annotations

import inspect
import math
import re
from fractions import Fraction

import pytest
from ofakit.config.generation import GenerationSettings
from ofakit.errors import UsageError
from ofakit.models.generation.generate import generate
from ofakit.models.generation.settings import SearchSettings, check_setting


def test_the_arguments_of_generate_have_the_declared_defaults():
    parameters = inspect.signature(generate).parameters
    declared = GenerationSettings().model_dump()
    assert declared == {
        "num_beams": 5, "max_length": 16, "min_length": 1, "no_repeat_ngram_size": 3, "length_penalty": 1.0,
        "early_stopping": False,
        "do_sample": False, "top_k": 0, "top_p": 1.0, "temperature": 1.0,
    }  # fmt: skip
    assert {name: parameters[name].default for name in declared} == declared
    assert set(parameters) - set(declared) == {"model", "inputs", "num_return_sequences", "seed", "allowed_tokens"}


BAD = [
    ("num_beams", 0, "an integer of at least 1"),
    ("num_beams", 2.0, "an integer of at least 1"),
    ("num_beams", True, "an integer of at least 1"),
    ("max_length", -1, "an integer of at least 0"),
    ("num_return_sequences", 0, "an integer of at least 1"),
    ("top_k", -2, "an integer of at least 0"),
    *(("temperature", value, "a finite number above 0") for value in (0.0, "0.5", None, math.inf, math.nan, True)),
    *(("top_p", value, "a number in (0, 1]") for value in (1.5, 0, "0.5", None, math.nan)),
    *(("length_penalty", value, "a number from -10 to 10") for value in ("x", None, math.nan, -11, 10**6, math.inf)),
]


@pytest.mark.parametrize(("name", "value", "expected"), BAD)
def test_a_value_out_of_its_range(name, value, expected):
    message = re.escape(f"{name}: expected {expected}, found {value!r}")
    with pytest.raises(UsageError, match=f"^{message}$"):
        SearchSettings.checked(**{name: value})
    with pytest.raises(UsageError, match=f"^{message}$"):
        check_setting(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_length", 0), ("top_p", 1), ("top_p", 1e-9), ("length_penalty", -10), ("temperature", Fraction(1, 2))],
)
def test_the_ends_of_ranges_are_in_them(name, value):
    settings = SearchSettings.checked(**{"min_length": 0, name: value})
    assert getattr(settings, name) == value


def test_settings_that_do_not_go_together():
    with pytest.raises(UsageError, match="min_length: expected at most max_length, 3, found 4"):
        SearchSettings.checked(max_length=3, min_length=4)
    with pytest.raises(UsageError, match="expected at most num_beams, 3, found 4; raise num_beams, or set do_sample"):
        SearchSettings.checked(num_beams=3, num_return_sequences=4)
    assert SearchSettings.checked(num_beams=3, num_return_sequences=4, do_sample=True).num_return_sequences == 4


def test_a_length_penalty_is_a_float():
    penalty = SearchSettings.checked(length_penalty=2).length_penalty
    assert isinstance(penalty, float) and penalty == 2.0

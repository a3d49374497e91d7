"""Generation settings in a configuration: their ranges, and that to read them loads no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ofakit.config.generation import GenerationSettings
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("name", "low", "too_low", "high", "too_high"),
    [
        ("num_beams", 1, 0, 100, None),
        ("max_length", 1, 0, 100, None),
        ("min_length", 0, -1, 100, None),
        ("no_repeat_ngram_size", 0, -1, 9, None),
        ("length_penalty", -10, -10.5, 10, 10.5),
        ("top_k", 0, -1, 100, None),
        ("top_p", 1e-6, 0, 1, 1.1),
        ("temperature", 1e-6, 0, 100, float("inf")),
    ],
)
def test_ranges(name, low, too_low, high, too_high):
    for value in (low, high):
        assert getattr(GenerationSettings(**{name: value}), name) == value
    for value in (too_low, too_high):
        if value is not None:
            with pytest.raises(ValidationError, match=name):
                GenerationSettings(**{name: value})


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="num_beam"):
        GenerationSettings(num_beam=3)


def test_every_setting_is_described():
    assert all(field.description for field in GenerationSettings.model_fields.values())


def test_it_loads_no_torch():
    code = "import sys, ofakit.config.generation; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""The objects of a run are the same whatever order and spelling the data comes in."""

from __future__ import annotations

import unicodedata

import pytest
from ofakit.config import parse_config
from ofakit.data import Example
from ofakit.trainers.assemble import choose_styles

CONFIG = parse_config({"data": {"reader": {"type": "given"}}})
CAFE = "Café"


@pytest.mark.parametrize(
    ("styles", "chosen"),
    [
        (["old  man", "zany", None, "old man", "Arty"], ["Arty", "old man", "zany"]),
        (["zany", "Straße", "STRASSE"], ["Straße", "zany"]),
        ([unicodedata.normalize("NFD", CAFE), CAFE], [unicodedata.normalize("NFD", CAFE)]),
        ([f"{'happy'[:k].upper()}{'happy'[k:]}" for k in range(5, -1, -1)], ["HAPPY"]),
        ([" ", "", None], None),
    ],
)
def test_styles_of_the_data_are_listed_once_as_first_spelled(styles, chosen):
    found = choose_styles(CONFIG, [Example(str(k), style=style) for k, style in enumerate(styles)])
    assert (found and found.names) == chosen

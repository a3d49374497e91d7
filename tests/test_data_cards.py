"""docs/datasets.md has a card for every reader, with a licence, and its configurations are those of the readers."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
from ofakit.data import READERS

from tests.documented import blocks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "datasets.md"
WITHOUT_A_TABLE = ("joined", "viquae_articles", "image_text")
"""Readers of what other cards describe."""


def cards() -> dict[tuple[str, ...], str]:
    """The text of each card by the readers that it is of."""
    parts = re.split(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.M)
    texts = [re.split(r"^## ", text, flags=re.M)[0] for text in parts[2::2]]
    return {tuple(heading.split(", ")): text for heading, text in zip(parts[1::2], texts, strict=True)}


def test_every_reader_has_one_card():
    named = [reader for readers in cards() for reader in readers]
    assert sorted(named) == READERS.names()


@pytest.mark.parametrize("readers", list(cards()), ids=" ".join)
def test_a_card_says_source_size_licence_files_and_faults(readers):
    if readers[0] in WITHOUT_A_TABLE:
        return
    rows = re.findall(r"^\| (\w+) \| (.+) \|$", cards()[readers], flags=re.M)
    assert [name for name, _ in rows] == ["data", "source", "size", "licence", "files", "faults"]
    assert all(len(text) > 3 for _, text in rows)


@pytest.mark.parametrize("readers", list(cards()), ids=" ".join)
def test_a_card_shows_a_configuration_of_each_reader(readers):
    found = [json.loads(line) for line in re.findall(r"^    (\{.+\})$", cards()[readers], flags=re.M)]
    assert [values["type"] for values in found] == list(readers)
    for values in found:
        assert values.keys() - {"type"} <= inspect.signature(READERS.get(values["type"])).parameters.keys()


def test_no_block_of_the_page_is_passed_over():
    shown = [line for block in blocks(PAGE) for line in block.text.splitlines() if line.startswith("{")]
    assert len(shown) == sum(len(readers) for readers in cards())

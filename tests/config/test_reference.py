"""The page of configuration keys is that of the schema."""

from __future__ import annotations

from pathlib import Path

from ofakit.config.reference import reference_page


def test_page_in_docs_is_up_to_date():
    page = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == reference_page(), "run python -m ofakit.config.reference"

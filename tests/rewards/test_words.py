"""The words of a caption as rewards count them."""

from __future__ import annotations

import pytest
from ofakit.rewards._words import plain


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (" A  dog\nRUNS, fast. ", "a dog runs fast"),
        ("it's side-by-side", "its sidebyside"),
        ("ÉCOLE “quoted”", "école “quoted”"),
        ("...", ""),
        ("", ""),
    ],
)
def test_lower_case_and_no_ascii_punctuation(caption, expected):
    assert plain(caption) == expected

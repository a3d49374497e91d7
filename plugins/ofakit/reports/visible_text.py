"""Text from data as a page shows it: invisible characters and those that reverse the text around them are spelled out.

Captions, questions and file names are anyone's. Control characters, halves of a character and the marks that reverse
the direction of writing (https://www.unicode.org/reports/tr9/) are shown by their code; what is very long is cut.
"""

from __future__ import annotations

import re

__all__ = ["LONGEST", "shortened", "visible"]

LONGEST = 600
"""Characters of a text that are shown at most."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)


def visible(text: str) -> str:
    """A text in which every character is seen, and which any file can hold.

    Args:
        text: Any text; tabs and line breaks stay.

    >>> visible("a\\0b"), visible("exe.\\u202egpj"), visible("\\ud83d"), visible("größe\\t犬")
    ('a⟨U+0000⟩b', 'exe.⟨U+202E⟩gpj', '⟨U+D83D⟩', 'größe\\t犬')
    """
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def shortened(text: str, most: int = LONGEST) -> str:
    """A text, cut where it is very long; how long it was is said.

    Args:
        text: Any text.
        most: Characters that are kept.

    >>> shortened("abcdef", 4), shortened("abc", 4)
    ('abcd … (6 characters)', 'abc')
    """
    return text if len(text) <= most else f"{text[:most]} … ({len(text):,} characters)"

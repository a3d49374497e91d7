"""Text as METEOR 1.5 reads it with `-norm`: its tokens, lower-cased, with punctuation kept.

Tokens of the Penn Treebank stay what they are but for apostrophes and hyphens: `n't` becomes `n 't`, `'s` becomes
`' s`, `t-shirt` becomes `t shirt`. Which letters count as letters is METEOR's choice, which abbreviations keep their
full stop its data's.
"""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import pairwise

__all__ = ["normalize"]

_ALPHA = "A-Za-z\u0160\u017d\u0161\u017e\u0178\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e"
_ALPHA += "\u0400-\u04ff\u0500-\u0527\ua640-\ua66e\ua67e-\ua697\u1d00-\u1d7f"
_ALNUM = f"0-9{_ALPHA}"
_PLAIN = re.compile(r"[a-z0-9 ]*")
_LETTER = re.compile(f"[{_ALPHA}]")
_STEPS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (rf"([^{_ALNUM} \t\n\x0b\f\r.'`,\-\u2018\u2019])", r" \1 "),
        (r"(\.{2,})", r" \1 "),
        # Commas, except within numbers
        (r"([^0-9]),([^0-9])", r"\1 , \2"),
        (r"([0-9]),([^0-9])", r"\1 , \2"),
        (r"([^0-9]),([0-9])", r"\1 , \2"),
        # Quotation marks and dashes become plain ones
        ("[`\u2018\u2019]", "'"),
        ("[\u201c\u201d]|''", ' " '),
        ("\u2013", "-"),
        ("--", "-"),
        # Hyphens within words
        (rf"([{_ALNUM}.])-([{_ALNUM}])", r"\1 \2"),
        # Apostrophes; one between letters, or before the s of 1990's, stays with what follows
        (rf"([^{_ALPHA}])'([^{_ALPHA}])", r"\1 ' \2"),
        (rf"([^{_ALPHA}0-9])'([{_ALPHA}])", r"\1 ' \2"),
        (rf"([{_ALPHA}])'([^{_ALPHA}])", r"\1 ' \2"),
        (rf"([{_ALPHA}])'([{_ALPHA}])", r"\1 '\2"),
        (r"([0-9])'(s)", r"\1 '\2"),
    )
]


def normalize(text: str, abbreviations: Container[str], before_numbers: Container[str]) -> str:
    """The tokens of a text with one space between them.

    Args:
        text: Any text; white space of every kind separates.
        abbreviations: Words, as written, that keep a full stop that follows them.
        before_numbers: Words that keep it where a number comes next.

    >>> normalize("She doesn't like U.S.-made t-shirts, Mr. Smith.", {"Mr"}, set())
    "she doesn 't like us made t shirts , mr. smith ."
    """
    if _PLAIN.fullmatch(text):
        return " ".join(text.split())
    text = f" {' '.join(text.split())} "
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    stopped = (_full_stop(*pair, abbreviations, before_numbers) for pair in pairwise([*text.split(), ""]))
    return " ".join(stopped).lower()


def _full_stop(word: str, following: str, abbreviations: Container[str], before_numbers: Container[str]) -> str:
    """The word with the full stop at its end split off, unless it abbreviates."""
    before = word[:-1]
    if not before or word[-1] != "." or before[-1] == ".":
        return word
    if "." in before and _LETTER.search(before):
        return word.replace(".", "")
    if before in abbreviations or "a" <= following[:1] <= "z":
        return word
    if before in before_numbers and "0" <= following[:1] <= "9":
        return word
    return f"{before} ."

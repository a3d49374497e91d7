"""How the Chinese tokenizer prepares a text before it is cut into word pieces: BERT's basic tokenization.

Source: google-research/bert `tokenization.py` (`BasicTokenizer`) in the version of transformers, whose Unicode tables
are Python's `unicodedata`. The Rust `BertNormalizer` has older tables and skips NFC, so it is not used here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Set

__all__ = ["basic_tokenize", "lower", "without_surrogates"]

CJK_BLOCKS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class _CharacterTable(dict[int, str]):
    """A table for `str.translate` that works out each character when it first occurs."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self.rule = rule

    def __missing__(self, codepoint: int) -> str:
        found = self[codepoint] = self.rule(chr(codepoint))
        return found

    def __reduce__(self) -> tuple[type[_CharacterTable], tuple[Callable[[str], str]]]:
        return type(self), (self.rule,)


def _cleaned(char: str) -> str:
    if char in "\t\n\r":
        return " "
    category = unicodedata.category(char)
    if char == "\ufffd" or category.startswith("C"):
        return ""
    return " " if category == "Zs" else char


def _cleaned_and_spaced(char: str) -> str:
    cleaned = _cleaned(char)
    return f" {char} " if cleaned == char and any(a <= ord(char) <= z for a, z in CJK_BLOCKS) else cleaned


def _split_off(char: str) -> str:
    is_ascii_symbol = 32 < ord(char) < 127 and not char.isalnum()
    return f" {char} " if is_ascii_symbol or unicodedata.category(char).startswith("P") else char


def _without_mark(char: str) -> str:
    return "" if unicodedata.category(char) == "Mn" else char


CLEAN = _CharacterTable(_cleaned)
CLEAN_AND_SPACE = _CharacterTable(_cleaned_and_spaced)
STRIP = _CharacterTable(_without_mark)
SPLIT = _CharacterTable(_split_off)


def lower(text: str) -> str:
    """Lower-case each character on its own: a capital sigma at the end of a word becomes a plain sigma.

    Args:
        text: Any text.

    >>> lower("ΛΌΓΟΣ"), "ΛΌΓΟΣ".lower()
    ('λόγοσ', 'λόγος')
    """
    return text.replace("Σ", "σ").lower()


def basic_tokenize(
    text: str,
    *,
    lower_case: bool = True,
    strip_accents: bool | None = None,
    space_chinese: bool = True,
    never_split: Set[str] = frozenset(),
) -> str:
    """Clean a text and put spaces around every character that is a word of its own.

    Args:
        text: Any text.
        lower_case: Lower-case the words.
        strip_accents: Drop combining marks after decomposition; None does so if `lower_case` is set.
        space_chinese: Make every CJK character a word.
        never_split: Words that keep their punctuation if they stand alone, such as `<mask>`.

    Returns:
        The words, with at least one space between two of them.

    >>> basic_tokenize("Café在“老地方”!").split()
    ['cafe', '在', '“', '老', '地', '方', '”', '!']
    """
    text = unicodedata.normalize("NFC", text.translate(CLEAN_AND_SPACE if space_chinese else CLEAN))
    if lower_case:
        text = text.lower()
    if strip_accents or (strip_accents is None and lower_case):
        text = unicodedata.normalize("NFD", text).translate(STRIP)
    if any(word in text for word in never_split):
        return " ".join(w if w in never_split else w.translate(SPLIT) for w in text.split())
    return text.translate(SPLIT)


def without_surrogates(text: str) -> str:
    """A text that can be encoded: lone surrogates become U+FFFD.

    Args:
        text: Any text.

    >>> without_surrogates("caf\\udce9")
    'caf\ufffd'
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text

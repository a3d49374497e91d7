"""English text as words and punctuation marks, split where spaCy's rules for English split it.

A piece between spaces loses marks at both ends until none is left or an exception such as `Dr.` is met; what remains is
cut at marks inside, as in `K-theory`. White space other than one space between pieces is a token of its own. spaCy
decided how the published passages of Wikipedia were cut, so its rules are followed here, without spaCy.

Source: https://spacy.io/usage/linguistic-features#how-tokenizer-works; spaCy 3.8, `lang/punctuation.py` and
`lang/en/punctuation.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from ofakit.retrieval._english_exceptions import CURRENCIES, HYPHENS, MARKS, QUOTES, SENTENCE_ENDS, UNITS, exceptions

__all__ = ["Token", "english_tokens"]

PIECE = re.compile(r"\s+|\S+")
LAST_LETTER = 0x323AF
"""No letter has a higher code point."""


class Token(NamedTuple):
    """A word, a mark or white space.

    Attributes:
        length: Characters.
        ends: Whether it ends a sentence, as `.`, `!` and `?` do.
        mark: Whether it is punctuation through and through.
    """

    length: int
    ends: bool
    mark: bool


def english_tokens(text: str) -> Iterator[tuple[int, Token]]:
    """Cut a text into tokens.

    Args:
        text: The text.

    Yields:
        Where a token begins, and the token. A single space between two pieces belongs to neither.

    >>> text = "Dr. Smith's K-theory (1947)."
    >>> [text[start : start + token.length] for start, token in english_tokens(text)]
    ['Dr.', 'Smith', "'s", 'K', '-', 'theory', '(', '1947', ')', '.']
    """
    for match in PIECE.finditer(text):
        start, piece = match.start(), match.group()
        if piece.isspace():
            joins = start > 0 and piece[0] == " "
            if len(piece) > joins:
                yield start + joins, Token(len(piece) - joins, False, False)
            continue
        for token in _tokens_of(piece):
            yield start, token
            start += token.length


@lru_cache(maxsize=2**17)
def _tokens_of(piece: str) -> tuple[Token, ...]:
    """The tokens of a piece without white space."""
    rules = _rules()
    words = _rejoined(_cut(piece, rules), rules)
    return tuple(Token(len(word), word in SENTENCE_ENDS, _is_mark(word)) for word in words)


def _is_mark(word: str) -> bool:
    return all(unicodedata.category(character)[0] == "P" for character in word)


def _cut(piece: str, rules: Rules) -> list[str]:
    """A piece cut at its ends, then inside."""
    before: list[str] = []
    after: list[str] = []
    left = None
    while piece and piece != left and piece not in rules.whole:
        left = piece
        front = rules.front(piece)
        first = front.group() if front else ""
        if first and piece[len(first) :] in rules.whole:
            before.append(first)
            piece = piece[len(first) :]
            break
        back = rules.back(piece[len(first) :])
        last = back.group() if back else ""
        if last and piece[: -len(last)] in rules.whole:
            after.append(last)
            piece = piece[: -len(last)]
            break
        before += [first] if first else []
        after += [last] if last else []
        piece = piece[len(first) : len(piece) - len(last)]
    return [*before, *_inside(piece, rules), *reversed(after)]


def _inside(piece: str, rules: Rules) -> list[str]:
    """What is left of a piece, cut inside."""
    if not piece:
        return []
    if piece in rules.whole:
        return _exception(piece, rules)
    if rules.address(piece):
        return [piece]
    words, start = [], 0
    for match in rules.inside(piece):
        if match.start() == 0:
            continue
        words += [piece[start : match.start()]] if match.start() > start else []
        words.append(match.group())
        start = match.end()
    return words + ([piece[start:]] if start < len(piece) else [])


def _exception(piece: str, rules: Rules) -> list[str]:
    """The tokens of an exception; their number matters, and not where it is cut."""
    cuts = rules.whole[piece] - 1
    return [*piece[:cuts], piece[cuts:]]


def _rejoined(words: list[str], rules: Rules) -> list[str]:
    """The tokens of a piece, where those side by side that an exception consists of are that exception."""
    for size in range(min(len(words), rules.longest), 1, -1):
        for start in range(len(words) - size + 1):
            end = start + size
            if tuple(words[start:end]) in rules.parted:
                exception = _exception("".join(words[start:end]), rules)
                return [*_rejoined(words[:start], rules), *exception, *_rejoined(words[end:], rules)]
    return words


class Rules(NamedTuple):
    """What pieces are cut by.

    Attributes:
        whole: The number of tokens of each exception.
        parted: What exceptions are cut into where nothing says that they are exceptions.
        longest: The most tokens of one of these.
        front: Finds a mark at the beginning of a piece.
        back: Finds a mark at its end.
        inside: Finds the marks inside it.
        address: Tells a web or mail address.
    """

    whole: dict[str, int]
    parted: frozenset[tuple[str, ...]]
    longest: int
    front: Callable[[str], re.Match[str] | None]
    back: Callable[[str], re.Match[str] | None]
    inside: Callable[[str], Iterator[re.Match[str]]]
    address: Callable[[str], re.Match[str] | None]


@cache
def _rules() -> Rules:
    """The rules, made when the first text is cut."""
    lower = _ranges(lambda c: c.isalpha() and not c.isupper())
    upper = _ranges(lambda c: c.isalpha() and not c.islower())
    letter, sign = r"[^\W\d_]", r"[^\W_]"
    marks, quotes, currency = _any_of(MARKS), _any_of(QUOTES), _any_of(CURRENCIES)
    every = f"{marks}|\\.\\.+|…|{quotes}|[{_ranges(lambda c: unicodedata.category(c) == 'So')}]"
    back = (
        f"{every}|['’][sS]|[—–]|(?<=[0-9])(?:\\+|{currency}|{_any_of(UNITS)})|(?<=[{upper}][{upper}])\\."
        f"|(?:(?<=[0-9{lower}%²+|-])|(?<={marks})|(?<={quotes}))\\."
    )
    inside = (
        f"\\.\\.+|…|[{_ranges(lambda c: unicodedata.category(c) == 'So')}]|(?<=[0-9])[+\\-*^](?=[0-9-])"
        f"|(?:(?<=[{lower}])|(?<={quotes}))\\.(?=[{upper}]|{quotes})|(?<={letter}),(?={letter})"
        f"|(?<={sign})(?:{_any_of(HYPHENS)}|[:<>=/])(?={letter})"
    )
    name = r"(?:[A-Za-z0-9\u00a1-\uffff][A-Za-z0-9\u00a1-\uffff_-]{0,62})?[A-Za-z0-9\u00a1-\uffff]"
    plain = Rules(
        {},
        frozenset(),
        0,
        re.compile(f"[§%=—–]|\\+(?![0-9])|{every}|{currency}").match,
        re.compile(f"(?:{back})$").search,
        re.compile(inside).finditer,
        re.compile(
            rf"(?:[\w+.-]{{2,}}://)?(?:\S+(?::\S*)?@)?(?:{name}\.)+[{lower}]{{2,63}}(?::\d{{2,5}})?(?:[/?#]\S*)?"
        ).fullmatch,
    )
    whole = exceptions()
    parted = frozenset(tuple(_cut(exception, plain)) for exception in whole)
    return plain._replace(whole=whole, parted=parted, longest=max(map(len, parted)))


def _any_of(texts: Sequence[str]) -> str:
    """A pattern of any of some texts, the longest first."""
    single = "".join(re.escape(text) for text in texts if len(text) == 1)
    longer = sorted((re.escape(text) for text in texts if len(text) > 1), key=len, reverse=True)
    return f"(?:{'|'.join([*longer, f'[{single}]'])})" if longer else f"[{single}]"


def _ranges(belongs: Callable[[str], bool]) -> str:
    """The inside of a character class of all characters that belong to it."""
    found, start = [], None
    for code in range(LAST_LETTER + 2):
        member = code <= LAST_LETTER and belongs(chr(code))
        if member and start is None:
            start = code
        elif not member and start is not None:
            found.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(found)

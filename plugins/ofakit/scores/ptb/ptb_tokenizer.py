"""The Penn Treebank tokenization that the COCO caption evaluation uses, without Java.

Its results equal those of pycocoevalcap's PTBTokenizer: lower-cased tokens without punctuation, separated by one space.
The Java tokenizer reads its texts as the lines of one file, and so does this one: if a line ends in an abbreviation
("plan B.", "No."), the beginning of the next line decides whether its period is a token by itself. A list of one text
has no next line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

from ofakit.errors import UsageError
from ofakit.scores.ptb.automaton import Automaton, DeadEnds
from ofakit.scores.ptb.rules import NAMES, RULES

__all__ = ["ptb_tokenize"]

_PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
_MEMORY = 200_000
_BLANK_LINES = 1000
_AMPERSAND = re.compile("&amp;", re.IGNORECASE)

_WORDS = re.compile(
    r"[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+(?:(?<=[^\W\d_])[-'.’\u2010\u2011](?=[^\W\d_])[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+)*"
)
_FRACTIONS = {"¼": "1/4", "½": "1/2", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_MONEY = {"¢": "cents", "£": "#", "\u0080": "$", "¤": "$", "\u20a0": "$", "€": "$"}
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "{": "-lcb-", "}": "-rcb-", "[": "-lsb-", "]": "-rsb-"}
_SPACE = str.maketrans(" ", "\u00a0")
_SPACE_AND_ROUND = str.maketrans({" ": "\u00a0", "(": "-lrb-", ")": "-rrb-"})
_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\u0091‘‛‹", "`"),
        **dict.fromkeys("\u0092’›", "'"),
        **dict.fromkeys("\u0093“«", "``"),
        **dict.fromkeys("\u0094”»", "''"),
    }
)

# What a token becomes, by the action of its rule.
_ACTIONS: dict[str, Callable[[str], str]] = {
    "keep": str,
    "drop": lambda token: "",
    "soften": lambda token: token.replace("\u00ad", ""),
    "quote": lambda token: token.replace("&apos;", "'").replace("&quot;", "''").translate(_QUOTES),
    "ampersand": lambda token: _AMPERSAND.sub("&", token),
    "less": lambda token: "<",
    "greater": lambda token: ">",
    "fraction": lambda token: _FRACTIONS.get(token, token),
    "money": lambda token: _MONEY.get(token, token),
    "bracket": _BRACKETS.__getitem__,
    "bind": lambda token: token.translate(_SPACE),
    "round": lambda token: token.translate(_SPACE_AND_ROUND),
}


def ptb_tokenize(texts: Sequence[str]) -> list[str]:
    """Tokenize texts as the COCO caption evaluation does.

    Args:
        texts: Captions, in the order of the file that they would be. A line break counts as a space.

    Returns:
        The tokens of each text, separated by single spaces; an empty string for a text of nothing but punctuation.

    Raises:
        UsageError: `texts` is a string rather than a list of strings, or something in it is not a string.

    >>> ptb_tokenize(["It's a man's hat, isn't it?", "U.S. sailors at 3:30 p.m. (cannot wait!)", "..."])
    ["it 's a man 's hat is n't it", 'u.s. sailors at 3:30 p.m. -lrb- can not wait -rrb-', '']
    >>> ptb_tokenize(["plan B.", "A dog"]), ptb_tokenize(["plan B.", "dogs"])
    (['plan b', 'a dog'], ['plan b.', 'dogs'])
    """
    if isinstance(texts, str):
        raise UsageError(f"ptb_tokenize: expected a list of strings, found the string {texts!r}; wrap it in a list")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"ptb_tokenize: texts[{number}]: expected a string, found {text!r}")
    return [_tokenize(text, texts, number + 1) for number, text in enumerate(texts)]


def _line(text: str) -> str:
    return text.replace("\n", " ") + "\n"


def _next_line(texts: Sequence[str], start: int) -> str:
    """The lines from a text on, up to the first that says something."""
    lines = []
    for text in texts[start : start + _BLANK_LINES]:
        lines.append(_line(text))
        if not text.isspace() and text:
            break
    return "".join(lines)


class _Chunks(dict[str, str | None]):
    """Tokens by chunk. A chunk is what stands between two spaces; the last one of a text ends with a line feed.

    The value is None if a rule looks beyond the chunk, so that the text must be read as a whole.
    """

    def __missing__(self, chunk: str) -> str | None:
        tokens, needs_more = _read(chunk if chunk.endswith("\n") else chunk + " ")
        needs_more = needs_more or chunk[:1].isspace() and chunk != "\n"
        if len(self) >= _MEMORY:
            self.clear()
        found = self[chunk] = None if needs_more else tokens
        return found


_CHUNKS = _Chunks()


def _tokenize(text: str, texts: Sequence[str], start: int) -> str:
    """The tokens of a text; those from `start` on stand behind it."""
    line = _line(text)
    found = list(map(_CHUNKS.__getitem__, line.split(" ")))
    if None not in found:
        tokens = " ".join(filter(None, found))
        if not tokens[-1:].isspace():
            return tokens
    tokens, needs_more = _read(line)
    return _read(line, _next_line(texts, start))[0] if needs_more and start < len(texts) else tokens


def _read(text: str, following: str = "") -> tuple[str, bool]:
    """The tokens of `text`, and whether text after its last character might change them.

    Java counts in UTF-16, so a character beyond the Basic Multilingual Plane is read as its two halves.

    Args:
        text: What is read.
        following: What stands behind it.
    """
    wide = max(text) > "\uffff"
    text, following = (_units(text), _units(following)) if wide else (text, following)
    whole, end = text + following, len(text)
    tokens, place, last_end, needs_more = [], 0, 0, False
    dead_ends: DeadEnds = {}
    while place < end - 1:
        token, place, more = _next_token(whole, place, dead_ends)
        needs_more = needs_more or more
        if token and token not in _PUNCTUATION:
            tokens.append(token)
            last_end = place
    if tokens and text[-1] == "\n" and not text[last_end:].strip():
        tokens[-1] = tokens[-1].rstrip()
    joined = " ".join(tokens)
    return (joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") if wide else joined), needs_more


def _units(text: str) -> str:
    return "".join(map(chr, memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")))


def _next_token(text: str, place: int, dead_ends: DeadEnds) -> tuple[str, int, bool]:
    """The token at `place`, where the next one begins, and whether more text might change the token."""
    lexer = _lexer()
    number, end, more = lexer.longest(text, place, dead_ends)
    assert number is not None, "the last rule takes any character"
    end = lexer.token_end(number, text, place, end)
    action = lexer.rules[number].action
    if action in ("cut2", "cut3"):
        end -= int(action[-1])
        action = "keep"
    elif action == "initial":
        token = text[place:end] if end - place > 2 else text[place]
        return _lower(token), end, more
    return _lower(_ACTIONS[action](text[place:end])), end, more


@cache
def _lexer() -> Automaton:
    return Automaton(RULES, NAMES)


def _lower(token: str) -> str:
    """Lower-case as Java does: a sigma becomes final if it is the last cased letter of a word and not the only one."""
    if "Σ" not in token:
        return token.lower()
    return _WORDS.sub(lambda word: _lower_word(word[0]), token).lower()


def _lower_word(word: str) -> str:
    cased = [place for place, letter in enumerate(word) if unicodedata.category(letter) in ("Lu", "Ll", "Lt")]
    final = cased[-1] if len(cased) > 1 and word[cased[-1]] == "Σ" else None
    return "".join("ς" if p == final else "σ" if letter == "Σ" else letter.lower() for p, letter in enumerate(word))

"""METEOR's data for English, read once from the files that come with pycocoevalcap."""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from ofakit.errors import UsageError
from ofakit.scores.matching.paraphrases import ParaphraseTable, load_paraphrases
from ofakit.scores.matching.stemmer import english_stem
from ofakit.scores.matching.wordnet import Synonyms
from ofakit.scores.score import MissingScoreError

__all__ = ["English", "Word", "english", "meteor_folder", "word_of"]

_JAR, _PARAPHRASES = "meteor-1.5.jar", Path("data", "paraphrase-en.gz")
_IN_JAR = (
    "function/english.words",
    "nonbreaking/english.prefixes",
    "synonym/english.synsets",
    "synonym/english.exceptions",
)


class Word(NamedTuple):
    """What METEOR knows of a word.

    Attributes:
        key: Equal for words that count as the same.
        stem: Equal for words with the same stem.
        function: Whether it is a function word.
        sets: The numbers of its sets of synonyms, ascending.
        paraphrase_id: Its id in the table of paraphrases, or 0.
    """

    key: int
    stem: int
    function: bool
    sets: tuple[int, ...]
    paraphrase_id: int


class English(NamedTuple):
    """METEOR's data for English.

    Attributes:
        function_words: Words that weigh less.
        abbreviations: Words, as written, that keep a full stop that follows them.
        before_numbers: Words that keep it where a number comes next.
        synonyms: WordNet.
        paraphrases: The table of paraphrases.
        paraphrase_ids: Word → its id in that table.
    """

    function_words: frozenset[str]
    abbreviations: frozenset[str]
    before_numbers: frozenset[str]
    synonyms: Synonyms
    paraphrases: ParaphraseTable
    paraphrase_ids: dict[str, int]


@cache
def english() -> English:
    """Read the data; the same object each time.

    Raises:
        MissingScoreError: pycocoevalcap is missing, or its files are not those of METEOR 1.5.
    """
    folder = meteor_folder()
    try:
        with ZipFile(folder / _JAR) as jar:
            function, prefixes, sets, exceptions = (jar.read(name).decode() for name in _IN_JAR)
        table = load_paraphrases(folder / _PARAPHRASES)
    except (OSError, KeyError, BadZipFile, UnicodeDecodeError, UsageError) as error:
        raise MissingScoreError(
            f"METEOR's data, which pycocoevalcap installs in {folder}, cannot be read: {error}; reinstall it with: pip "
            "install --force-reinstall --no-deps pycocoevalcap"
        ) from error
    always, before_numbers = _read_prefixes(prefixes)
    function_words = frozenset(function.split("\n")[:-1])
    return English(
        function_words, always, before_numbers, Synonyms.from_text(sets, exceptions), table, table.word_ids()
    )


def meteor_folder() -> Path:
    """Where pycocoevalcap keeps METEOR.

    Raises:
        MissingScoreError: There is no pycocoevalcap.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise MissingScoreError(
            "METEOR needs WordNet's synonyms and a paraphrase table, which come with pycocoevalcap; "
            'pip install "ofakit[scores]", or for this data alone: pip install --no-deps pycocoevalcap'
        )
    return Path(spec.submodule_search_locations[0], "meteor")


@lru_cache(maxsize=1 << 16)
def word_of(word: str) -> Word:
    """What METEOR knows of a word.

    Args:
        word: Lower-cased.

    Raises:
        MissingScoreError: As `english`.
    """
    data = english()
    sets = tuple(sorted(data.synonyms.sets(word)))
    number = data.paraphrase_ids.get(word, 0)
    return Word(_hash(word), _hash(english_stem(word)), word in data.function_words, sets, number)


def _read_prefixes(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words that always keep their full stop, and those that keep it before numbers."""
    kinds = {}
    for line in text.split("\n"):
        word, *kind = line.split() or ["#"]
        if not word.startswith("#"):
            kinds[word] = kind[:1] == ["#NUMERIC_ONLY#"]
    return frozenset(word for word in kinds if not kinds[word]), frozenset(word for word in kinds if kinds[word])


def _hash(word: str) -> int:
    """Java's hash of a string, by which METEOR tells words apart: of its UTF-16 units, modulo 2^32."""
    number = 0
    for unit in memoryview(word.encode("utf-16-le", "surrogatepass")).cast("H"):
        number = (31 * number + unit) & 0xFFFFFFFF
    return number

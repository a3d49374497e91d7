"""Snowball's English stemmer, as in METEOR 1.5: two words with one stem match.

The algorithm is Porter's second one (https://snowballstem.org/algorithms/english/stemmer.html) in the version of 2006.
Later versions have more exceptions and would give other scores, which is why no library stands here.
"""

from __future__ import annotations

__all__ = ["english_stem"]

_VOWELS = frozenset("aeiouy")
_NEVER_SHORT = frozenset("aeiouywxY")
_BEFORE_LI = frozenset("cdeghkmnrt")
_DOUBLES = frozenset(("bb", "dd", "ff", "gg", "mm", "nn", "pp", "rr", "tt"))
_REGION_1 = ("gener", "commun", "arsen")
_WHOLE_WORDS = {
    "skis": "ski", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "idly": "idl", "gently": "gentl",
    "ugly": "ugli", "early": "earli", "only": "onli", "singly": "singl",
    **{word: word for word in ("sky", "news", "howe", "atlas", "cosmos", "bias", "andes")},
}  # fmt: skip
_STOP_AFTER_1A = frozenset(("inning", "outing", "canning", "herring", "earring", "proceed", "exceed", "succeed"))
_STEP_2 = {
    "tional": "tion", "enci": "ence", "anci": "ance", "abli": "able", "entli": "ent", "izer": "ize", "ization": "ize",
    "ational": "ate", "ation": "ate", "ator": "ate", "alism": "al", "aliti": "al", "alli": "al", "fulness": "ful",
    "ousli": "ous", "ousness": "ous", "iveness": "ive", "iviti": "ive", "biliti": "ble", "bli": "ble", "ogi": "og",
    "fulli": "ful", "lessli": "less", "li": "",
}  # fmt: skip
_STEP_3 = {
    "tional": "tion", "ational": "ate", "alize": "al", "icate": "ic", "iciti": "ic", "ical": "ic", "ful": "",
    "ness": "", "ative": "",
}  # fmt: skip
_STEP_4 = {
    "al": "", "ance": "", "ence": "", "er": "", "ic": "", "able": "", "ible": "", "ant": "", "ement": "", "ment": "",
    "ent": "", "ism": "", "ate": "", "iti": "", "ous": "", "ive": "", "ize": "", "ion": "",
}  # fmt: skip


def english_stem(word: str) -> str:
    """The stem of a lower-cased word.

    Args:
        word: Without white space. A word of one or two characters is its own stem.

    >>> [english_stem(word) for word in ("running", "happily", "generously", "skies", "dogs'")]
    ['run', 'happili', 'generous', 'sky', 'dog']
    """
    if word in _WHOLE_WORDS:
        return _WHOLE_WORDS[word]
    if len(word) < 3:
        return word
    word = _mark_consonant_y(word.removeprefix("'"))
    first, second = _regions(word)
    word = _step_1a(word)
    if word not in _STOP_AFTER_1A:
        word = _step_1c(_step_1b(word, first))
        for step in (_step_2, _step_3, _step_4, _step_5):
            word = step(word, first, second)
    return word.replace("Y", "y")


def _mark_consonant_y(word: str) -> str:
    """The word with a capital Y where it begins the word or follows a vowel."""
    letters = list(word)
    for place, letter in enumerate(letters):
        if letter == "y" and (place == 0 or letters[place - 1] in _VOWELS):
            letters[place] = "Y"
    return "".join(letters)


def _regions(word: str) -> tuple[int, int]:
    """Where R1 and R2 begin: after the first, and after the next, consonant that follows a vowel."""
    special = next((len(start) for start in _REGION_1 if word.startswith(start)), None)
    first = _after_vowel_and_consonant(word, 0) if special is None else special
    return first, _after_vowel_and_consonant(word, first)


def _after_vowel_and_consonant(word: str, begin: int) -> int:
    for place in range(begin + 1, len(word)):
        if word[place] not in _VOWELS and word[place - 1] in _VOWELS:
            return place + 1
    return len(word)


def _has_vowel(text: str) -> bool:
    return not _VOWELS.isdisjoint(text)


def _ends_short(word: str) -> bool:
    """Whether the word ends in a short syllable."""
    if len(word) < 2 or word[-2] not in _VOWELS:
        return False
    if len(word) == 2:
        return word[-1] not in _VOWELS
    return word[-1] not in _NEVER_SHORT and word[-3] not in _VOWELS


def _longest_ending(word: str, endings: dict[str, str]) -> str | None:
    return next((word[-n:] for n in range(min(7, len(word)), 0, -1) if word[-n:] in endings), None)


def _step_1a(word: str) -> str:
    for ending in ("'s'", "'s", "'"):
        if word.endswith(ending):
            word = word.removesuffix(ending)
            break
    if word.endswith("sses"):
        return word[:-2]
    if word.endswith(("ied", "ies")):
        return word[:-2] if len(word) > 4 else word[:-1]
    if word.endswith("s") and not word.endswith(("us", "ss")) and _has_vowel(word[:-2]):
        return word[:-1]
    return word


def _step_1b(word: str, first: int) -> str:
    for ending in ("eedly", "ingly", "edly", "eed", "ing", "ed"):
        if word.endswith(ending):
            break
    else:
        return word
    stem = word.removesuffix(ending)
    if ending.startswith("ee"):
        return f"{stem}ee" if len(stem) >= first else word
    if not _has_vowel(stem):
        return word
    if stem.endswith(("at", "bl", "iz")):
        return f"{stem}e"
    if stem[-2:] in _DOUBLES:
        return stem[:-1]
    return f"{stem}e" if len(stem) == first and _ends_short(stem) else stem


def _step_1c(word: str) -> str:
    ends = len(word) > 2 and word[-1] in "yY" and word[-2] not in _VOWELS
    return f"{word[:-1]}i" if ends else word


def _step_2(word: str, first: int, second: int) -> str:
    ending = _longest_ending(word, _STEP_2)
    if ending is None or len(word) - len(ending) < first:
        return word
    stem = word.removesuffix(ending)
    if (ending == "ogi" and stem[-1:] != "l") or (ending == "li" and stem[-1:] not in _BEFORE_LI):
        return word
    return stem + _STEP_2[ending]


def _step_3(word: str, first: int, second: int) -> str:
    ending = _longest_ending(word, _STEP_3)
    if ending is None or len(word) - len(ending) < (second if ending == "ative" else first):
        return word
    return word.removesuffix(ending) + _STEP_3[ending]


def _step_4(word: str, first: int, second: int) -> str:
    ending = _longest_ending(word, _STEP_4)
    if ending is None or len(word) - len(ending) < second:
        return word
    stem = word.removesuffix(ending)
    return word if ending == "ion" and stem[-1:] not in ("s", "t") else stem


def _step_5(word: str, first: int, second: int) -> str:
    stem = word[:-1]
    if word.endswith("e"):
        return stem if len(stem) >= second or (len(stem) >= first and not _ends_short(stem)) else word
    return stem if word.endswith("ll") and len(stem) >= second else word

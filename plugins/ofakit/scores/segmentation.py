"""Words of texts in scripts that put no spaces between them, such as Chinese, Japanese and Thai.

Scores count words, and a caption without spaces would be a single one. By default every character of such a script is a
word, as is usual for Chinese captions; `words` asks jieba, where it is installed, for the words of Chinese. Texts of
other scripts are not touched, so that their scores remain those of the COCO evaluation.

    tokenize(["一只狗。", "A dog."]) -> ["一 只 狗", "a dog"]
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from ofakit.errors import UsageError
from ofakit.scores.ptb.ptb_tokenizer import ptb_tokenize

__all__ = ["SEGMENTATIONS", "segmented", "tokenize"]

SEGMENTATIONS = ("characters", "words", "spaces")
"""What a word is in a script without spaces: a character, what jieba says, or what stands between spaces."""

_SCRIPTS = (
    (0x0E00, 0x0E7F), (0x0E80, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x30FA),
    (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3134F),
)  # fmt: skip
"""Thai, Lao, Burmese, Khmer, Japanese syllables and Chinese characters."""

_RANGES = "".join(f"{chr(first)}-{chr(last)}" for first, last in _SCRIPTS)
_MARKS = "".join(
    chr(code) for first, last in _SCRIPTS[:4] for code in range(first, last + 1)
    if unicodedata.category(chr(code)) in ("Mn", "Mc")
)  # fmt: skip
_UNSPACED = re.compile(f"[{_RANGES}]")
_CHARACTERS = re.compile(f"[{_RANGES}][{_MARKS}]*")
_PUNCTUATION = re.compile(
    "[\u3000-\u3003\u3008-\u3011\u3014-\u301f\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65“”‘’…—·]+"
)


def segmented(text: str, segmentation: str = "characters") -> str:
    """A text with spaces between its words.

    Args:
        text: In any script.
        segmentation: One of `SEGMENTATIONS`.

    Returns:
        The text itself where nothing in it is of a script without spaces; else also without the punctuation of these.

    Raises:
        UsageError: The segmentation is unknown, or jieba is asked for and not installed.

    >>> segmented("一只狗, 2 cats。").split(), segmented("Two cats.")
    (['一', '只', '狗', ',', '2', 'cats'], 'Two cats.')
    """
    if segmentation not in SEGMENTATIONS:
        raise UsageError(f"segmentation: expected one of {', '.join(SEGMENTATIONS)}, found {segmentation!r}")
    if segmentation == "spaces" or not _UNSPACED.search(text):
        return text
    text = _PUNCTUATION.sub(" ", text)
    if segmentation == "words":
        return " ".join(_words(text))
    return _CHARACTERS.sub(r" \g<0> ", text)


def tokenize(texts: Sequence[str], segmentation: str = "characters") -> list[str]:
    """Tokenize captions for scoring: `ptb_tokenize`, which English is scored with, on segmented texts.

    Args:
        texts: Captions, in the order of the file that they would be.
        segmentation: One of `SEGMENTATIONS`.

    Returns:
        The tokens of each text, separated by single spaces; an empty string for a text without a word.

    Raises:
        UsageError: As `ptb_tokenize` and `segmented`.

    >>> tokenize(["一只狗。", "A dog."])
    ['一 只 狗', 'a dog']
    """
    if isinstance(texts, str):
        return ptb_tokenize(texts)
    return ptb_tokenize([segmented(text, segmentation) if isinstance(text, str) else text for text in texts])


def _words(text: str) -> list[str]:
    try:
        import jieba
    except ImportError:
        raise UsageError("segmenting Chinese into words needs jieba: pip install jieba; or score characters") from None
    return [word for word in jieba.lcut(text) if word.strip()]

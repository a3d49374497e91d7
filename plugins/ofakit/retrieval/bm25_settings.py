"""How BM25 scores a passage, and what its words are.

Robertson & Zaragoza 2009, https://doi.org/10.1561/1500000019; the variants are those of Kamphuis et al. 2020,
https://doi.org/10.1007/978-3-030-45442-5_4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ofakit.errors import UsageError, did_you_mean

__all__ = ["BM25Settings", "Variant"]

Variant = Literal["lucene", "robertson", "atire", "bm25l", "bm25+"]


@dataclass(frozen=True)
class BM25Settings:
    """How passages are scored.

    Args:
        k1: How much more a word counts that occurs often in a passage; 0 counts each word once.
        b: How much longer passages are held down, from 0, not at all, to 1.
        delta: What a word adds at least, in the variants bm25l and bm25+.
        variant: Which formula: lucene, robertson, atire, bm25l or bm25+.
        stopwords: Words that do not count: a language that bm25s has a list of, such as "en", a list, or None.
        stemmer: A language of PyStemmer, such as "english", or None.

    Raises:
        UsageError: A number is out of its range, or the variant is unknown.
    """

    k1: float = 1.5
    b: float = 0.75
    delta: float = 0.5
    variant: Variant = "lucene"
    stopwords: str | list[str] | None = "en"
    stemmer: str | None = None

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise UsageError(
                f"unknown variant of BM25 {self.variant!r}: {did_you_mean(self.variant, get_args(Variant))}"
            )
        if self.k1 < 0 or not 0 <= self.b <= 1 or self.delta < 0:
            raise UsageError(
                f"BM25: expected k1 >= 0, 0 <= b <= 1 and delta >= 0, found {self.k1}, {self.b} and {self.delta}"
            )
        if self.k1 == 0 and self.variant in ("bm25l", "bm25+"):
            raise UsageError(f"BM25: the variant {self.variant} needs k1 above 0, found 0")

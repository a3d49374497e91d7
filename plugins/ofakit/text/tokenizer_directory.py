"""The tokenizer of a directory, whichever kind of vocabulary it has: OFA's and BART's, or T5's."""

from __future__ import annotations

from pathlib import Path

from ofakit.text.base_tokenizer import BaseTokenizer
from ofakit.text.sentencepiece_tokenizer import SentencePieceTokenizer, has_sentencepiece
from ofakit.text.tokenizer import OFATokenizer

__all__ = ["load_tokenizer"]


def load_tokenizer(directory: str | Path) -> BaseTokenizer:
    """Read the tokenizer of a directory; one of BART gets no codes and bins, which are OFA's.

    Args:
        directory: Holds `vocab.json` and `merges.txt`, `vocab.txt`, or of T5 `tokenizer.json` or `spiece.model`.

    Raises:
        UsageError: It holds none of these, or a file cannot be read.
    """
    if has_sentencepiece(directory):
        return SentencePieceTokenizer.from_pretrained(directory)
    return OFATokenizer.from_pretrained(directory, stock_codes=False)

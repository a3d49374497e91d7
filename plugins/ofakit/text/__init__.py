"""Text and ids: tokenizer, styles, prompts, whole-word masking. Names are imported when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.text.masking import mask_whole_words, mask_whole_words_batch
    from ofakit.text.prompts import build_prompt, clean_caption
    from ofakit.text.styles import StyleSet
    from ofakit.text.tokenizer import OFATokenizer
    from ofakit.text.training import train_tokenizer

__all__ = [
    "OFATokenizer",
    "StyleSet",
    "build_prompt",
    "clean_caption",
    "mask_whole_words",
    "mask_whole_words_batch",
    "train_tokenizer",
]

__getattr__ = exports(
    __name__,
    {
        "ofakit.text.tokenizer": ["OFATokenizer"],
        "ofakit.text.styles": ["StyleSet"],
        "ofakit.text.prompts": ["build_prompt", "clean_caption"],
        "ofakit.text.masking": ["mask_whole_words", "mask_whole_words_batch"],
        "ofakit.text.training": ["train_tokenizer"],
    },
)

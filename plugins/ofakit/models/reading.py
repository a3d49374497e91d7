"""What an encoder reads: how texts become ids, how large images are. Picklable, for loading processes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ofakit.errors import UsageError
from ofakit.hub_ids import huggingface_id
from ofakit.input_files import refuse_odd_files
from ofakit.json_text import from_json
from ofakit.text.normalization import without_surrogates

__all__ = ["HuggingFaceTexts", "Reading", "Texts", "train_byte_pairs"]

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


class Texts(Protocol):
    """How texts become ids."""

    pad_token_id: int
    """What shorter texts are filled up with."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, special tokens included, cut to the encoder's length.

        Args:
            texts: Any texts.
        """
        ...

    def pieces(self, ids: Sequence[int]) -> Sequence[str | None]:
        """The tokens that ids stand for, as the vocabulary spells them; None for an id that it does not have.

        Args:
            ids: Of a text.
        """
        ...

    def save(self, folder: str | Path) -> None:
        """Write the files that it is read from.

        Args:
            folder: Where to; made if it is not there.
        """
        ...

    def fingerprint(self) -> str:
        """What two of the same vocabulary have in common."""
        ...


@dataclass(frozen=True)
class Reading:
    """What an encoder reads.

    Attributes:
        texts: How texts become ids; None for one that reads none.
        image_size: Pixels a side that images must have; None for one that reads no pixels.
        regions: Whether it reads images as features of their regions.
        several_images: Whether it sees the pixels of all images of an example, not of the first alone.
    """

    texts: Texts | None = None
    image_size: int | None = None
    regions: bool = False
    several_images: bool = False

    def save(self, folder: str | Path) -> None:
        """Write the files of the tokenizer.

        Args:
            folder: Where to; made if it is not there.
        """
        if self.texts is not None:
            self.texts.save(folder)


class HuggingFaceTexts:
    """A tokenizer of Hugging Face.

    Args:
        tokenizer: A fast tokenizer.
        max_length: Tokens of a text, special ones included.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.pad_token_id: int = 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    @classmethod
    def load(cls, folder: str | Path, max_length: int) -> HuggingFaceTexts:
        """Read a directory or a hub id.

        Args:
            folder: With the files of a tokenizer.
            max_length: Tokens of a text, special ones included.

        Raises:
            UsageError: There is no tokenizer.
        """
        from transformers import AutoTokenizer

        name = huggingface_id(str(folder)) or os.path.expanduser(folder)
        if os.path.exists(name):
            refuse_odd_files(name)
        try:
            return cls(AutoTokenizer.from_pretrained(name, use_fast=True), max_length)
        except Exception as error:  # the Rust library raises plain ones for a damaged tokenizer.json
            raise UsageError(f"no tokenizer in {folder}: {str(error).partition(chr(10))[0]}") from None

    def __len__(self) -> int:
        return len(self.tokenizer)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts, special tokens included, cut to `max_length`.

        Args:
            texts: Any texts.
        """
        if not texts:
            return []
        return self.tokenizer(
            [without_surrogates(text) for text in texts], truncation=True, max_length=self.max_length,
            return_attention_mask=False, return_token_type_ids=False,
        )["input_ids"]  # fmt: skip

    def pieces(self, ids: Sequence[int]) -> Sequence[str | None]:
        """The tokens that ids stand for, as the vocabulary spells them; None for an id that it does not have.

        Args:
            ids: Of a text.
        """
        return self.tokenizer.convert_ids_to_tokens(list(ids))

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer's files.

        Args:
            folder: Where to; made if it is not there.
        """
        self.tokenizer.save_pretrained(str(folder))

    def fingerprint(self) -> str:
        """The vocabulary and what stands around a text, as a hash; not how the last texts were cut and padded."""
        state = from_json(self.tokenizer.backend_tokenizer.to_str())
        state |= {"truncation": None, "padding": None, "max_length": self.max_length}
        return hashlib.blake2b(json.dumps(state).encode(), digest_size=8).hexdigest()


def train_byte_pairs(texts: Iterable[str], size: int, max_length: int) -> HuggingFaceTexts:
    """Train a byte-level BPE vocabulary, lower-cased, with `[CLS]` and `[SEP]` around a text.

    Args:
        texts: What to train on; their order does not matter.
        size: Entries at most; the 256 bytes and the special tokens are always among them.
        max_length: Tokens of a text, special ones included.

    Source: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909; trained by the library tokenizers, whose WordPiece
    trainer gives another vocabulary in each process.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(iter(sorted({without_surrogates(text) for text in texts})), trainer)
    around = [("[SEP]", SPECIAL.index("[SEP]")), ("[CLS]", SPECIAL.index("[CLS]"))]
    tokenizer.post_processor = processors.BertProcessing(*around)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=max_length,
    )  # fmt: skip
    return HuggingFaceTexts(wrapped, max_length)

"""What a tokenizer is here: text to ids and back, tokens that are never split, and where words begin.

Those of `ofakit.text.tokenizer` (OFA, BART) put bos before a text; T5's, `ofakit.text.sentencepiece_tokenizer`, has no
bos, and its decoder starts with pad.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from ofakit.errors import UsageError

__all__ = ["SPECIAL_TOKENS", "BaseTokenizer", "backend_ids"]

SPECIAL_TOKENS = ("<s>", "</s>", "<unk>", "<pad>", "<mask>")
FEW_PIECES = 64


class BaseTokenizer(ABC):
    """Text to ids and back; picklable.

    Attributes:
        added: Token to id of the tokens that are never split: special ones, codes, bins, styles.
    """

    added: dict[str, int]
    _id_of: dict[str, int]
    _token_of: dict[int, str]

    @property
    @abstractmethod
    def language(self) -> str:
        """`en` or `zh`."""

    @abstractmethod
    def save_pretrained(self, directory: str | Path) -> None:
        """Write the files that a tokenizer is read from.

        Args:
            directory: Created if it does not exist.
        """

    @abstractmethod
    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of each text, without bos and eos.

        Args:
            texts: Texts as `encode` takes them.
        """

    @abstractmethod
    def encode_as_text(self, text: str) -> list[int]:
        """The ids of a text in which no token is spelled: `</s>` and `<code_3>` are the characters that they are.

        Captions are such texts. A caption that spells eos must not end what a model learns to say.

        Args:
            text: Any text; a lone surrogate counts as U+FFFD.
        """

    @abstractmethod
    def add_tokens(self, tokens: Iterable[str]) -> list[int]:
        """Add tokens that are never split; those without an id get the next free ids.

        Args:
            tokens: The tokens as they occur in texts.

        Returns:
            The new ids, in order. A token that already has an id keeps it and is left out.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of the vocabulary: equal where every text has the same ids."""

    @abstractmethod
    def piece(self, token_id: int) -> tuple[str, bool]:
        """What a token says, and whether a word begins with it.

        Args:
            token_id: An id of the vocabulary.
        """

    @abstractmethod
    def _begins_word(self, token: str) -> bool: ...

    @abstractmethod
    def _text(self, ids: Sequence[int]) -> str:
        """The text of ids; a KeyError for one that the vocabulary does not have."""

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without bos and eos.

        Args:
            text: Any text; a lone surrogate counts as U+FFFD.
        """
        return self.encode_batch([text])[0]

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = True) -> str:
        """The text of some ids.

        Args:
            ids: Token ids; a tensor or array of one dimension is fine.
            skip_special_tokens: Leave out bos, eos, unk, pad and mask. Codes, bins and styles stay.

        Raises:
            UsageError: An id is not in the vocabulary.
        """
        ids = ids.tolist() if hasattr(ids, "tolist") else list(ids)
        if skip_special_tokens:
            ids = [i for i in ids if i not in self.special_ids]
        try:
            return self._text(ids)
        except KeyError as error:
            raise UsageError(f"no token has the id {error.args[0]}: the vocabulary has {len(self)} tokens") from None

    def decode_batch(self, batch: Iterable[Iterable[int]], skip_special_tokens: bool = True) -> list[str]:
        """The text of each list of ids.

        Args:
            batch: Lists of ids, or a tensor (B, T).
            skip_special_tokens: As in `decode`.
        """
        return [self.decode(ids, skip_special_tokens) for ids in batch]

    def token_to_id(self, token: str) -> int | None:
        """The id of a token, or None.

        Args:
            token: As the vocabulary spells it, such as "Ġdog" or "<code_3>".
        """
        return self._id_of.get(token)

    def id_to_token(self, token_id: int) -> str | None:
        """The token of an id, as the vocabulary spells it, or None.

        Args:
            token_id: An id.
        """
        return self._token_of.get(token_id)

    def code_token(self, i: int) -> str:
        """The i-th code of the vocabulary.

        Args:
            i: From 0.

        Raises:
            UsageError: The vocabulary has no such code.
        """
        token = f"<code_{i}>"
        if token not in self._id_of:
            codes = sum(t.startswith("<code_") for t in self.added)
            raise UsageError(f"the vocabulary has no {token}: it has {codes} codes")
        return token

    def word_starts(self, ids: Sequence[int], include_added: bool = False) -> np.ndarray:
        """Where words begin, for `ofakit.text.masking`.

        Args:
            ids: (T,) token ids, with or without bos and eos.
            include_added: Count codes, bins and styles as words too, so that they may be masked.

        Returns:
            (T,) int8: 1 where a word begins, 0 inside a word, -1 at tokens that are never masked and that no masked
            span crosses: special tokens and, unless `include_added` is set, added ones.
        """
        places = np.asarray(ids, dtype=np.int64)
        flags = self._kinds[places]
        after_atom = np.insert(flags[:-1] == -1, 0, True)[: len(flags)]
        flags[after_atom & (flags == 0)] = 1
        if include_added:
            flags[(flags == -1) & self._maskable[places]] = 1
        return flags

    def __len__(self) -> int:
        return len(self._id_of)

    def first_difference(self, other: BaseTokenizer) -> int | None:
        """The first id that stands for different tokens in two vocabularies, or for a token in only one of them.

        Args:
            other: The tokenizer to compare with.

        Returns:
            None if the vocabularies are equal.
        """
        ids = range(max(len(self), len(other)))
        return next((i for i in ids if self.id_to_token(i) != other.id_to_token(i)), None)

    @property
    def bos_token_id(self) -> int | None:
        """What stands before a text; None where nothing does."""
        return self.added.get("<s>")

    @property
    def pad_token_id(self) -> int:
        return self.added["<pad>"]

    @property
    def eos_token_id(self) -> int:
        return self.added["</s>"]

    @property
    def unk_token_id(self) -> int:
        return self.added["<unk>"]

    @property
    def mask_token_id(self) -> int:
        """The id of `<mask>`.

        Raises:
            UsageError: The vocabulary has none, as T5's.
        """
        if "<mask>" not in self.added:
            raise UsageError("the vocabulary has no <mask>")
        return self.added["<mask>"]

    @property
    def begin(self) -> tuple[int, ...]:
        """What stands before a text that an encoder reads: bos, or nothing."""
        return () if self.bos_token_id is None else (self.bos_token_id,)

    @property
    def start_token_id(self) -> int:
        """What a decoder reads first: bos, or pad where there is none."""
        return self.pad_token_id if self.bos_token_id is None else self.bos_token_id

    @property
    def piece_range(self) -> tuple[int, int]:
        """From which id to which, not included, the pieces of texts stand together."""
        first = self.unk_token_id + 1
        return first, min((i for i in self.added.values() if i >= first), default=len(self))

    @functools.cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids of bos, eos, unk, pad and mask, of those that are there."""
        return frozenset(self.added[token] for token in SPECIAL_TOKENS if token in self.added)

    @functools.cached_property
    def _kinds(self) -> np.ndarray:
        """The flag of each id in `word_starts`, unless it comes first or after an added token."""
        kinds = np.zeros(max(self._token_of) + 1, dtype=np.int8)
        for token_id, token in self._token_of.items():
            kinds[token_id] = -1 if token in self.added else self._begins_word(token)
        return kinds

    @functools.cached_property
    def _maskable(self) -> np.ndarray:
        """Which ids are added tokens but not special."""
        maskable = self._kinds == -1
        maskable[list(self.special_ids)] = False
        return maskable

    def _forget(self) -> None:
        """Drop what was worked out before tokens were added."""
        for name in ("special_ids", "_kinds", "_maskable"):
            self.__dict__.pop(name, None)


def backend_ids(backend: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of texts, without special tokens around them.

    Args:
        backend: Of the library tokenizers.
        texts: Without lone surrogates.
    """
    if len(texts) < FEW_PIECES:  # a thread pool costs more than it saves, and forked workers must not inherit one
        return [backend.encode(text, add_special_tokens=False).ids for text in texts]
    return [e.ids for e in backend.encode_batch(texts, add_special_tokens=False)]

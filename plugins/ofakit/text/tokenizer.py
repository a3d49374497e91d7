"""OFA's tokenizers, built on the fast `tokenizers` library; their ids equal those of ModelScope's slow ones.

English is BART's byte-level BPE (`vocab.json`, `merges.txt`), Chinese is BERT's word pieces (`vocab.txt`); the files in
a directory decide which it is. `<code_i>`, `<bin_i>` and other added tokens are listed in `added_tokens.json`; a stock
directory without that file gets the 8,192 codes and 1,000 bins that stock OFA adds.

    tokenizer = OFATokenizer.from_pretrained("ofa_base")
    tokenizer.encode(" what does the image describe?")

Source: ModelScope `models/multi_modal/ofa/tokenization_ofa.py` and `preprocessors/ofa/base.py`, transformers'
`PreTrainedTokenizer`, which splits a text at added tokens before anything else.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from ofakit.errors import UsageError
from ofakit.input_files import refuse_odd_files
from ofakit.text.normalization import basic_tokenize, lower, without_surrogates
from ofakit.text.vocabulary_files import read_added, read_base, read_options, write_added, write_chinese, write_english

__all__ = ["NUM_BINS", "NUM_CODES", "OFATokenizer"]

NUM_CODES = 8192
NUM_BINS = 1000
SPECIAL_TOKENS = ("<s>", "</s>", "<unk>", "<pad>", "<mask>")
MAX_CHARACTERS_PER_WORD = 100
FEW_PIECES = 64


class OFATokenizer:
    """Text to ids and back.

    Args:
        vocab: Token to id, the base vocabulary.
        merges: The BPE merges in order; None makes it the Chinese word-piece tokenizer.
        added: Token to id of the tokens that are never split: codes, bins, styles.
        options: Settings of the Chinese tokenizer: `do_lower_case`, `strip_accents`, `tokenize_chinese_chars`.

    Special tokens that neither `vocab` nor `added` has get the next free ids, in the order of `SPECIAL_TOKENS`.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]] | None,
        added: Mapping[str, int] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.base_vocab = dict(vocab)
        self.merges = merges
        self.options = dict(options or {})
        self.added: dict[str, int] = {}
        self._id_of = dict(vocab)
        self._token_of = {i: token for token, i in vocab.items()}
        for token, token_id in (added or {}).items():
            self._put(token, token_id)
        self._mask_eats_space = self.language == "en" and "<mask>" not in self.added
        for token in SPECIAL_TOKENS:
            if token not in self.added:
                self._put(token, self._id_of.get(token, len(self._id_of)))
        self._backend = self._build_backend()
        self._index_added()

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> OFATokenizer:
        """Read the tokenizer of a model directory.

        Args:
            directory: Holds `vocab.json` and `merges.txt` (English) or `vocab.txt` (Chinese).

        Raises:
            UsageError: It holds neither, or a file cannot be read.
        """
        folder = Path(directory)
        refuse_odd_files(folder)
        try:
            (vocab, merges), added, options = read_base(folder), read_added(folder), read_options(folder)
        except (ValueError, OSError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"cannot read the tokenizer files in {folder}: {error}") from error
        tokenizer = cls(vocab, merges, added, options)
        if added is None:
            tokenizer.add_tokens(f"<code_{i}>" for i in range(NUM_CODES))
            tokenizer.add_tokens(f"<bin_{i}>" for i in range(NUM_BINS))
        return tokenizer

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the files that `from_pretrained` and the stock classes read.

        Args:
            directory: Created if it does not exist.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        if self.merges is None:
            write_chinese(folder, self.base_vocab, self.options)
        else:
            special = {t: self.added[t] for t in SPECIAL_TOKENS if self._mask_eats_space}
            write_english(folder, {**special, **self.base_vocab}, self.merges)
        kept = self.base_vocab if self.language == "zh" or not self._mask_eats_space else SPECIAL_TOKENS
        write_added(folder, {t: i for t, i in self.added.items() if t not in SPECIAL_TOKENS or t not in kept})

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without bos and eos.

        Args:
            text: Any text; a lone surrogate counts as U+FFFD.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of each text, without bos and eos.

        Args:
            texts: Texts as `encode` takes them.
        """
        split = [self._split(text) for text in texts]
        pieces = [part for parts in split for part in parts if isinstance(part, str)]
        encoded = iter(self._encode_pieces(pieces))
        ids: list[list[int]] = []
        for parts in split:
            ids.append([])
            for part in parts:
                ids[-1].extend(next(encoded) if isinstance(part, str) else (part,))
        return ids

    def encode_as_text(self, text: str) -> list[int]:
        """The ids of a text in which no token is spelled: `</s>` and `<code_3>` are the characters that they are.

        Captions are such texts. A caption that spells eos must not end what a model learns to say.

        Args:
            text: Any text; a lone surrogate counts as U+FFFD.
        """
        if not text:
            return []
        text = lower(text) if self._lower_cases else text
        return self._encode_pieces([text], never_split=frozenset())[0]

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
            if self.language == "zh":
                return " ".join([self._token_of[i] for i in ids]).replace(" ##", "").strip()
            table = self._bytes_of
            return b"".join([table[i] for i in ids]).decode("utf-8", errors="replace")
        except KeyError as error:
            raise UsageError(f"no token has the id {error.args[0]}: the vocabulary has {len(self)} tokens") from None

    def decode_batch(self, batch: Iterable[Iterable[int]], skip_special_tokens: bool = True) -> list[str]:
        """The text of each list of ids.

        Args:
            batch: Lists of ids, or a tensor (B, T).
            skip_special_tokens: As in `decode`.
        """
        return [self.decode(ids, skip_special_tokens) for ids in batch]

    def add_tokens(self, tokens: Iterable[str]) -> list[int]:
        """Add tokens that are never split; those without an id get the next free ids.

        Args:
            tokens: The tokens as they occur in texts. The Chinese tokenizer lower-cases them, as it does texts.

        Returns:
            The new ids, in order. A token that already has an id keeps it and is left out.
        """
        new_ids = []
        for token in tokens:
            if token in self.added or not token:
                continue
            token = lower(token) if self._lower_cases else token
            if token not in self._id_of:
                new_ids.append(len(self._id_of))
            self._put(token, self._id_of.get(token, len(self._id_of)))
        self._index_added()
        return new_ids

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

    def first_difference(self, other: OFATokenizer) -> int | None:
        """The first id that stands for different tokens in two vocabularies, or for a token in only one of them.

        Args:
            other: The tokenizer to compare with.

        Returns:
            None if the vocabularies are equal.
        """
        ids = range(max(len(self), len(other)))
        return next((i for i in ids if self.id_to_token(i) != other.id_to_token(i)), None)

    def fingerprint(self) -> str:
        """A hash of the vocabulary: equal where every text has the same ids."""
        merges = None if self.merges is None else list(self.merges)
        text = repr(([self.id_to_token(number) for number in range(len(self))], merges))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    @property
    def language(self) -> str:
        """`en` or `zh`."""
        return "zh" if self.merges is None else "en"

    @property
    def bos_token_id(self) -> int:
        return self.added["<s>"]

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
        return self.added["<mask>"]

    @functools.cached_property
    def special_ids(self) -> frozenset[int]:
        """The ids of bos, eos, unk, pad and mask."""
        return frozenset(self.added[token] for token in SPECIAL_TOKENS)

    @property
    def _lower_cases(self) -> bool:
        return self.language == "zh" and self.options.get("do_lower_case", True)

    def _put(self, token: str, token_id: int) -> None:
        self.added[token] = self._id_of[token] = token_id
        self._token_of[token_id] = token

    def _build_backend(self) -> Tokenizer:
        """The `tokenizers` model of the base vocabulary. It never sees an added token."""
        unknown = "\0"  # occurs in no piece of English bytes and in no cleaned Chinese word
        vocab = {**self.base_vocab, unknown: self.unk_token_id}
        if self.merges is None:
            limit = MAX_CHARACTERS_PER_WORD
            backend = Tokenizer(models.WordPiece(vocab, unk_token=unknown, max_input_chars_per_word=limit))
            backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        else:
            backend = Tokenizer(models.BPE(vocab, self.merges, unk_token=unknown))
            backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return backend

    def _index_added(self) -> None:
        """Prepare the search for added tokens, and drop what was worked out without them."""
        lengths: dict[str, set[int]] = {}
        for token in self.added:
            lengths.setdefault(token[0], set()).add(len(token))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}
        self._first = re.compile("[" + "".join(map(re.escape, self._lengths)) + "]")
        self._cased = None
        if self._lower_cases and any(token != lower(token) for token in self.added):
            ordered = [*SPECIAL_TOKENS, *(t for t in self.added if t not in SPECIAL_TOKENS)]
            self._cased = re.compile("(" + "|".join(map(re.escape, ordered)) + ")|(.)")
        for name in ("_bytes_of", "_kinds", "_maskable"):
            self.__dict__.pop(name, None)

    def _split(self, text: str) -> list[str | int]:
        """Split a text at added tokens, the leftmost first and of those the longest, into pieces of text and ids."""
        if self._cased is not None:
            text = self._cased.sub(lambda match: match[1] or lower(match[2]), text)
        elif self._lower_cases:
            text = lower(text)
        parts: list[str | int] = []
        done = 0
        for start, token in self._matches(text):
            piece = text[done:start]
            done = start + len(token)
            if token == "<mask>" and self._mask_eats_space:
                piece = piece.rstrip()
            parts += [piece, self.added[token]] if piece else [self.added[token]]
        if done < len(text):
            parts.append(text[done:])
        return parts

    def _matches(self, text: str) -> Iterator[tuple[int, str]]:
        end = 0
        for match in self._first.finditer(text):
            start = match.start()
            if start < end:
                continue
            for length in self._lengths[match[0]]:
                token = text[start : start + length]
                if token in self.added:
                    end = start + length
                    yield start, token
                    break

    def _encode_pieces(
        self, pieces: list[str], never_split: frozenset[str] = frozenset(SPECIAL_TOKENS)
    ) -> list[list[int]]:
        if self.language == "zh":
            pieces = [self._normalize(piece, never_split) for piece in pieces]
        else:
            pieces = [without_surrogates(piece) for piece in pieces]
        if len(pieces) < FEW_PIECES:  # a thread pool costs more than it saves, and forked workers must not inherit one
            return [self._backend.encode(piece, add_special_tokens=False).ids for piece in pieces]
        return [e.ids for e in self._backend.encode_batch(pieces, add_special_tokens=False)]

    def _normalize(self, piece: str, never_split: frozenset[str]) -> str:
        return basic_tokenize(
            piece,
            lower_case=self._lower_cases,
            strip_accents=self.options.get("strip_accents"),
            space_chinese=self.options.get("tokenize_chinese_chars", True),
            never_split=never_split,
        )

    @functools.cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        """The bytes that each id of the English vocabulary stands for."""
        byte_of = {char: byte for byte, char in enumerate(byte_characters())}
        table = {}
        for token_id, token in self._token_of.items():
            known = token not in self.added and all(char in byte_of for char in token)
            table[token_id] = bytes(byte_of[char] for char in token) if known else token.encode()
        return table

    @functools.cached_property
    def _kinds(self) -> np.ndarray:
        """The flag of each id in `word_starts`, unless it comes first or after an added token."""
        continues = (lambda t: t.startswith("##")) if self.language == "zh" else (lambda t: not t.startswith("Ġ"))
        kinds = np.zeros(max(self._token_of) + 1, dtype=np.int8)
        for token_id, token in self._token_of.items():
            kinds[token_id] = -1 if token in self.added else not continues(token)
        return kinds

    @functools.cached_property
    def _maskable(self) -> np.ndarray:
        """Which ids are added tokens but not special."""
        maskable = self._kinds == -1
        maskable[list(self.special_ids)] = False
        return maskable


def byte_characters() -> list[str]:
    """The printable character that stands for each of the 256 bytes in a byte-level vocabulary.

    Source: openai/gpt-2 `src/encoder.py`. Printable bytes stand for themselves; the others get U+0100 and up.

    >>> byte_characters()[32], byte_characters()[65], len(set(byte_characters()))
    ('Ġ', 'A', 256)
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]

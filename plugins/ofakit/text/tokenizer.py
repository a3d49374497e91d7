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

from tokenizers import Tokenizer, models, pre_tokenizers

from ofakit.errors import UsageError
from ofakit.input_files import refuse_odd_files
from ofakit.text.base_tokenizer import SPECIAL_TOKENS, BaseTokenizer, backend_ids
from ofakit.text.normalization import basic_tokenize, lower, without_surrogates
from ofakit.text.vocabulary_files import read_added, read_base, read_options, write_added, write_chinese, write_english

__all__ = ["NUM_BINS", "NUM_CODES", "OFATokenizer"]

NUM_CODES = 8192
NUM_BINS = 1000
MAX_CHARACTERS_PER_WORD = 100


class OFATokenizer(BaseTokenizer):
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
    def from_pretrained(cls, directory: str | Path, stock_codes: bool = True) -> OFATokenizer:
        """Read the tokenizer of a model directory.

        Args:
            directory: Holds `vocab.json` and `merges.txt` (English) or `vocab.txt` (Chinese).
            stock_codes: Whether a stock directory is OFA's, and gets OFA's codes and bins.

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
        if added is None and stock_codes:
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
        """As `BaseTokenizer.encode_as_text`.

        Args:
            text: Any text.
        """
        if not text:
            return []
        text = lower(text) if self._lower_cases else text
        return self._encode_pieces([text], never_split=frozenset())[0]

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
        self.__dict__.pop("_bytes_of", None)
        self._forget()

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
        return backend_ids(self._backend, pieces)

    def _normalize(self, piece: str, never_split: frozenset[str]) -> str:
        return basic_tokenize(
            piece,
            lower_case=self._lower_cases,
            strip_accents=self.options.get("strip_accents"),
            space_chinese=self.options.get("tokenize_chinese_chars", True),
            never_split=never_split,
        )

    def piece(self, token_id: int) -> tuple[str, bool]:
        """What a token says, and whether a word begins with it.

        Args:
            token_id: An id of the vocabulary.
        """
        if self.language == "zh":
            piece = self._token_of.get(token_id, "")
            return piece.removeprefix("##"), self._begins_word(piece)
        text = self.decode([token_id], skip_special_tokens=False)
        return text.strip(), text.startswith(" ")

    def _begins_word(self, token: str) -> bool:
        return not token.startswith("##") if self.language == "zh" else token.startswith("Ġ")

    def _text(self, ids: Sequence[int]) -> str:
        if self.language == "zh":
            return " ".join([self._token_of[i] for i in ids]).replace(" ##", "").strip()
        table = self._bytes_of
        return b"".join([table[i] for i in ids]).decode("utf-8", errors="replace")

    @functools.cached_property
    def _bytes_of(self) -> dict[int, bytes]:
        """The bytes that each id of the English vocabulary stands for."""
        byte_of = {char: byte for byte, char in enumerate(byte_characters())}
        table = {}
        for token_id, token in self._token_of.items():
            known = token not in self.added and all(char in byte_of for char in token)
            table[token_id] = bytes(byte_of[char] for char in token) if known else token.encode()
        return table


def byte_characters() -> list[str]:
    """The printable character that stands for each of the 256 bytes in a byte-level vocabulary.

    Source: openai/gpt-2 `src/encoder.py`. Printable bytes stand for themselves; the others get U+0100 and up.

    >>> byte_characters()[32], byte_characters()[65], len(set(byte_characters()))
    ('Ġ', 'A', 256)
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]

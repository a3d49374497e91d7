"""T5's tokenizer: SentencePiece's unigram model, run by the library tokenizers; ids are those of transformers.

    tokenizer = SentencePieceTokenizer.from_pretrained("t5-base")
    tokenizer.encode("span prediction: a <extra_id_0> dog")

A directory has `tokenizer.json`, or else `spiece.model`, which transformers turns into the former; that takes the
package sentencepiece. There is no bos: a text begins with its first piece, and a decoder with pad.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from ofakit.errors import UsageError
from ofakit.input_files import refuse_odd_files
from ofakit.json_text import from_json, to_json
from ofakit.text.base_tokenizer import BaseTokenizer, backend_ids
from ofakit.text.normalization import without_surrogates

__all__ = ["SentencePieceTokenizer", "has_sentencepiece"]

FAST, SLOW = "tokenizer.json", "spiece.model"
OURS = ("vocab.json", "vocab.txt", "dict.txt")
"""What a directory of another vocabulary has, perhaps beside a `tokenizer.json`."""
WORD = "▁"
NEEDED = ("<pad>", "</s>", "<unk>")


class SentencePieceTokenizer(BaseTokenizer):
    """Text to ids and back.

    Args:
        backend: Of the library tokenizers, over a unigram model.
        where: What it was read from, for messages.

    Raises:
        UsageError: It is over another model, or lacks pad, eos or unk.
    """

    def __init__(self, backend: Tokenizer, where: str = "tokenizer") -> None:
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        state = from_json(backend.to_str())
        if state["model"]["type"] != "Unigram":
            raise UsageError(
                f"{where}: expected a unigram model of SentencePiece, as T5 has, found {state['model']['type']}; "
                "BART's vocabulary is vocab.json and merges.txt"
            )
        self._index()
        lacking = [token for token in NEEDED if token not in self.added]
        if lacking:
            raise UsageError(f"{where}: expected the tokens {', '.join(NEEDED)}, found no {' and no '.join(lacking)}")
        self._plain = _without_added(state)

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> SentencePieceTokenizer:
        """Read the tokenizer of a model directory.

        Args:
            directory: Holds `tokenizer.json` or `spiece.model`.

        Raises:
            UsageError: It holds neither, a file cannot be read, or the package sentencepiece is missing.
        """
        folder = Path(directory)
        refuse_odd_files(folder)
        path = folder / FAST
        if not path.is_file():
            return cls(_converted(folder / SLOW), str(folder / SLOW))
        try:
            backend = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises plain ones
            raise UsageError(f"{path} is no tokenizer of the library tokenizers: {error}") from None
        return cls(backend, str(path))

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `tokenizer.json`, and what transformers asks for beside it.

        Args:
            directory: Created if it does not exist.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FAST).write_text(self._backend.to_str(), encoding="utf-8")
        named = dict(zip(("pad_token", "eos_token", "unk_token"), NEEDED, strict=True))
        about = {"tokenizer_class": "PreTrainedTokenizerFast", **named}
        (folder / "tokenizer_config.json").write_text(to_json(about, indent=1), encoding="utf-8")

    @property
    def language(self) -> str:
        """`en`: texts are handled as English ones are."""
        return "en"

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """The ids of each text, without eos.

        Args:
            texts: Texts as `encode` takes them.
        """
        return backend_ids(self._backend, [without_surrogates(text) for text in texts])

    def encode_as_text(self, text: str) -> list[int]:
        """As `BaseTokenizer.encode_as_text`.

        Args:
            text: Any text.
        """
        return backend_ids(self._plain, [without_surrogates(text)])[0]

    def add_tokens(self, tokens: Iterable[str]) -> list[int]:
        """As `BaseTokenizer.add_tokens`.

        Args:
            tokens: The tokens as they occur in texts.
        """
        before, wanted = len(self), [token for token in dict.fromkeys(tokens) if token and token not in self.added]
        self._backend.add_tokens([AddedToken(token, normalized=False) for token in wanted])
        self._index()
        return list(range(before, len(self)))

    def fingerprint(self) -> str:
        """A hash of the vocabulary: equal where every text has the same ids."""
        state = from_json(self._backend.to_str())
        pieces = [
            f"{score:.6f} {piece}" for piece, score in state["model"]["vocab"]
        ]  # the library reads scores roughly
        text = to_json([pieces, state["normalizer"], state["pre_tokenizer"], sorted(self.added.items())])
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def piece(self, token_id: int) -> tuple[str, bool]:
        """What a token says, and whether a word begins with it.

        Args:
            token_id: An id of the vocabulary.
        """
        token = self._token_of[token_id]
        return token.removeprefix(WORD), self._begins_word(token)

    def _begins_word(self, token: str) -> bool:
        return token.startswith(WORD)

    def _text(self, ids: Sequence[int]) -> str:
        return self._backend.decoder.decode([self._token_of[i] for i in ids])

    def _index(self) -> None:
        """Take over the vocabulary of the library."""
        self._id_of = self._backend.get_vocab(with_added_tokens=True)
        self._token_of = {i: token for token, i in self._id_of.items()}
        self.added = {token.content: i for i, token in self._backend.get_added_tokens_decoder().items()}
        self._forget()


def has_sentencepiece(directory: str | Path) -> bool:
    """Whether a directory has T5's kind of vocabulary and none of OFA's or BART's.

    Args:
        directory: The directory.
    """
    folder = Path(directory)
    return any((folder / name).is_file() for name in (FAST, SLOW)) and not any(
        (folder / name).is_file() for name in OURS
    )


def _without_added(state: dict[str, Any]) -> Tokenizer:
    """The same without added tokens, which the unigram model does not find either: their pieces get a space."""
    added = {token["content"] for token in state["added_tokens"]}
    pieces = [[f" {piece}" if piece in added else piece, score] for piece, score in state["model"]["vocab"]]
    model = {**state["model"], "vocab": pieces}
    return Tokenizer.from_str(to_json({**state, "added_tokens": [], "post_processor": None, "model": model}))


def _converted(path: Path) -> Tokenizer:
    """What transformers makes of a model of SentencePiece, with T5's hundred names of spans behind it."""
    if not os.path.lexists(path):
        raise UsageError(f"no tokenizer in {path.parent}: expected {FAST} or {SLOW}, T5's vocabulary")
    try:
        import sentencepiece  # noqa: F401 (transformers asks for it, and says of another package that it is missing)
    except ImportError:
        raise UsageError(
            f"reading {path} needs sentencepiece: pip install 'ofakit[t5]'; a directory with {FAST} does not"
        ) from None
    import transformers

    library: Any = transformers  # versions differ in what they declare

    try:
        return library.T5TokenizerFast.from_pretrained(str(path.parent)).backend_tokenizer
    except Exception as error:  # of sentencepiece and protobuf, each with errors of its own
        raise UsageError(f"{path} is no model of SentencePiece: {str(error).partition(chr(10))[0]}") from None

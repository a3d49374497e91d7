"""The files of a tokenizer's directory, as the stock classes read and write them.

| file | what it holds |
|---|---|
| `vocab.json` | English: token to id |
| `merges.txt` | English: a line with the version, then the BPE merges in order, one per line |
| `vocab.txt` | Chinese: a token per line, whose number is the id |
| `tokenizer_config.json` | Chinese: whether to lower-case, strip accents and separate Chinese characters |
| `added_tokens.json` | token to id of the tokens that are never split |

The folders that OFA was trained with are read too: `utils/BPE` (`dict.txt`, `encoder.json`, `vocab.bpe`) and
`utils/BERT_CN_dict` (`dict.txt`, `vocab.txt`). Ids there are those of fairseq's dictionary: `<s>`, `<pad>`, `</s>`,
`<unk>`, the lines of `dict.txt`, `<mask>`. A line is a piece and its count; an English piece is its number in
`encoder.json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.errors import UsageError
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json

__all__ = ["read_added", "read_base", "read_options", "write_added", "write_chinese", "write_english"]

FIRST = ("<s>", "<pad>", "</s>", "<unk>")
"""What every fairseq dictionary begins with."""
OPTIONS = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")


def read_base(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]] | None]:
    """Read the base vocabulary of a directory, and the merges of an English one.

    Args:
        folder: Holds `vocab.json` and `merges.txt` (English) or `vocab.txt` (Chinese), or is one of OFA's own.

    Returns:
        Token to id, and the merges; None instead of them if the vocabulary is Chinese.

    Raises:
        UsageError: There are no such files.
        ValueError: A file does not hold what it should.
    """
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocab = _read_ids(folder / "vocab.json")
        return vocab, _read_merges(folder / "merges.txt", vocab)
    if all((folder / name).is_file() for name in ("dict.txt", "encoder.json", "vocab.bpe")):
        pieces = {number: piece for piece, number in _read_ids(folder / "encoder.json").items()}
        vocab = _fairseq_ids(pieces.get(int(line), line) if line.isdecimal() else line for line in _dictionary(folder))
        return vocab, _read_merges(folder / "vocab.bpe", vocab)
    if (folder / "vocab.txt").is_file() and (folder / "dict.txt").is_file():
        return _fairseq_ids(_dictionary(folder)), None
    if (folder / "vocab.txt").is_file():
        with (folder / "vocab.txt").open(encoding="utf-8") as lines:
            return {line.rstrip("\n"): i for i, line in enumerate(lines)}, None
    found = ", ".join(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "no such directory"
    raise UsageError(
        f"no tokenizer in {folder}: expected vocab.json and merges.txt (English) or vocab.txt (Chinese), or OFA's own "
        "dict.txt, encoder.json and vocab.bpe, "
        f"found {found or 'nothing'}"
    )


def read_added(folder: Path) -> dict[str, int] | None:
    """Read the added tokens of a directory.

    Args:
        folder: May hold `added_tokens.json`.

    Returns:
        Token to id, or None if there is no such file.

    Raises:
        ValueError: The file does not hold tokens and ids.
    """
    path = folder / "added_tokens.json"
    return _read_ids(path) if path.is_file() else None


def read_options(folder: Path) -> dict[str, Any]:
    """Read the settings of a Chinese tokenizer.

    Args:
        folder: May hold `tokenizer_config.json`.

    Returns:
        Those of `OPTIONS` that the file has.

    Raises:
        ValueError: The file does not hold a JSON object.
    """
    path = folder / "tokenizer_config.json"
    found = read_json_file(path, "settings of a tokenizer") if path.is_file() else {}
    if not isinstance(found, dict):
        raise ValueError(f"expected an object of settings in {path.name}")
    return {key: found[key] for key in OPTIONS if key in found}


def write_english(folder: Path, vocab: Mapping[str, int], merges: Sequence[tuple[str, str]]) -> None:
    """Write `vocab.json` and `merges.txt`.

    Args:
        folder: The directory, which must exist.
        vocab: Token to id.
        merges: The BPE merges in order.
    """
    (folder / "vocab.json").write_text(to_json(vocab), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")


def write_chinese(folder: Path, vocab: Mapping[str, int], options: Mapping[str, Any]) -> None:
    """Write `vocab.txt` and `tokenizer_config.json`.

    Args:
        folder: The directory, which must exist.
        vocab: Token to id; an id without a token becomes an empty line.
        options: The settings, as `read_options` gives them.
    """
    token_of = {i: token for token, i in vocab.items()}
    lines = [token_of.get(i, "") + "\n" for i in range(max(token_of) + 1)]
    (folder / "vocab.txt").write_text("".join(lines), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(to_json(options, indent=1), encoding="utf-8")


def write_added(folder: Path, added: Mapping[str, int]) -> None:
    """Write `added_tokens.json`.

    Args:
        folder: The directory, which must exist.
        added: Token to id.
    """
    text = to_json(added, indent=1)
    (folder / "added_tokens.json").write_text(text, encoding="utf-8")


def _dictionary(folder: Path) -> list[str]:
    """The pieces of a fairseq dictionary, in order."""
    lines = (folder / "dict.txt").read_text(encoding="utf-8").split("\n")
    found = [line.rpartition(" ") for line in lines if line]
    if not all(between and count.isdecimal() for _, between, count in found):
        raise ValueError("expected a piece and its count on every line of dict.txt")
    return [piece for piece, _, _ in found]


def _fairseq_ids(pieces: Iterable[str]) -> dict[str, int]:
    """Token to id, as fairseq numbers them."""
    ordered = [*FIRST, *pieces, "<mask>"]
    vocab = {token: place for place, token in enumerate(ordered)}
    if len(vocab) < len(ordered):
        raise ValueError("expected every piece once in dict.txt")
    return vocab


def _read_ids(path: Path) -> dict[str, int]:
    ids = read_json_file(path, "tokens and ids")
    if not isinstance(ids, dict) or not all(type(i) is int and 0 <= i < 2**31 for i in ids.values()):
        raise ValueError(f"expected an object of tokens and ids in {path.name}")
    return ids


def _read_merges(path: Path, vocab: Mapping[str, int]) -> list[tuple[str, str]]:
    """The pairs after the first line. The last line is dropped unread, as the stock class does: it should be empty."""
    merges = []
    for line in path.read_text(encoding="utf-8").split("\n")[1:-1]:
        pieces = line.split()
        if len(pieces) != 2 or not vocab.keys() >= {*pieces, "".join(pieces)}:
            raise ValueError(f"{path.name} has {' '.join(pieces)!r}, expected two pieces that the vocabulary knows")
        merges.append((pieces[0], pieces[1]))
    return merges

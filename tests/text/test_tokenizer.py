"""The tokenizers against golden ids of the stock code, and what saving, adding and decoding promise."""

from __future__ import annotations

import json
import pickle
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.text import OFATokenizer, train_tokenizer
from ofakit.text.tokenizer import SPECIAL_TOKENS

ODD_TEXTS = Path(__file__).with_name("odd_texts.jsonl")
EXTRA = ["<style:calm>", "<style:Odd One>", "ab", "bc", "abcd", "two words"]


def read_lines(path: Path) -> list[dict]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def english_dir(shared, tmp_path_factory) -> Path:
    """A stock directory as released: no added_tokens.json."""
    folder = tmp_path_factory.mktemp("english")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(shared / "data" / "ofa_bpe" / name, folder)
    return folder


@pytest.fixture(scope="session")
def chinese_dir(shared) -> Path:
    return shared / "data" / "ofa_bpe_zh"


@pytest.fixture
def own() -> OFATokenizer:
    return train_tokenizer(["a red cat sat", "a red car", "the cat"] * 2, vocab_size=290, num_codes=5, num_bins=3)


@pytest.mark.parametrize(("golden", "directory"), [("tokenizer", "ofa_bpe"), ("tokenizer_zh", "ofa_bpe_zh")])
def test_ids_equal_the_stock_tokenizer(shared, golden, directory):
    tokenizer = OFATokenizer.from_pretrained(shared / "data" / directory)
    rows = read_lines(shared / "golden" / f"{golden}.jsonl")
    assert len(rows) > 300
    assert [r["text"] for r in rows if tokenizer.encode(r["text"]) != r["ids"]] == []
    assert tokenizer.encode_batch([r["text"] for r in rows]) == [r["ids"] for r in rows]


def knows_all(text):
    """Whether this Python's Unicode has all letters; that of 3.10 lacks some, for the stock tokenizer as well."""
    return "\U00011ab0" not in text or unicodedata.category("\U00011ab0") == "Lo"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("extra", [[], EXTRA], ids=["", "extra"])
def test_ids_equal_the_stock_tokenizer_on_odd_texts(english_dir, chinese_dir, language, extra):
    tokenizer = OFATokenizer.from_pretrained(english_dir if language == "en" else chinese_dir)
    tokenizer.add_tokens(extra)
    key = language + ("_extra" if extra else "")
    rows = [row for row in read_lines(ODD_TEXTS) if knows_all(row["text"])]
    assert [row["text"] for row in rows if tokenizer.encode(row["text"]) != row[key]] == []


def test_decoding_equals_the_stock_tokenizer(shared):
    tokenizer = OFATokenizer.from_pretrained(shared / "data" / "ofa_bpe")
    rows = [r for r in read_lines(shared / "golden" / "tokenizer.jsonl") if "<" not in r["text"]]
    assert tokenizer.decode_batch([r["ids"] for r in rows]) == [r["decoded"] for r in rows]


def test_english_layout(english_dir):
    tokenizer = OFATokenizer.from_pretrained(english_dir)
    assert (tokenizer.language, len(tokenizer)) == ("en", 59457)
    special = [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
    assert [*special, tokenizer.mask_token_id] == [0, 1, 2, 3, 50264]
    assert tokenizer.token_to_id("<code_0>") == 50265
    assert tokenizer.token_to_id("<bin_999>") == 59456
    assert tokenizer.token_to_id("no such token") is None
    assert tokenizer.id_to_token(59457) is None
    assert tokenizer.code_token(8191) == "<code_8191>"
    with pytest.raises(UsageError, match="8192 codes"):
        tokenizer.code_token(8192)


def test_chinese_layout(chinese_dir, tmp_path):
    tokenizer = OFATokenizer.from_pretrained(chinese_dir)
    assert (tokenizer.language, len(tokenizer)) == ("zh", 30325)
    special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id]
    assert special == [21128, 21129, 21130, 21131]
    lines = (chinese_dir / "vocab.txt").read_text(encoding="utf-8").split("\n")
    (tmp_path / "vocab.txt").write_text("\n".join(["<s>", "<pad>", "</s>", "<unk>", *lines]), encoding="utf-8")
    released = OFATokenizer.from_pretrained(tmp_path)
    special = [released.bos_token_id, released.pad_token_id, released.eos_token_id, released.unk_token_id]
    assert special == [0, 1, 2, 3]
    assert released.mask_token_id == 21132
    assert released.decode(released.encode("一只 Doge 在草地上")) == "一 只 doge 在 草 地 上"


def test_added_tokens_of_the_directory_are_used_exactly(english_dir, tmp_path):
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(english_dir / name, tmp_path)
    (tmp_path / "added_tokens.json").write_text('{"<code_0>": 50265, "<style:calm>": 50266}')
    tokenizer = OFATokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == 50267
    assert tokenizer.encode("<style:calm><code_0>") == [50266, 50265]


def test_add_tokens_keeps_ids_and_gives_the_new_ones(own):
    size = len(own)
    assert own.add_tokens(["<style:x>", "<code_1>", "Ġred", "<style:y>", "<style:x>"]) == [size, size + 1]
    assert own.encode("a<style:y>") == [own.token_to_id("a"), size + 1]
    assert own.decode([size, own.eos_token_id, size + 1]) == "<style:x><style:y>"
    assert own.add_tokens(["<style:x>"]) == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_saved_and_read_again_it_is_the_same(english_dir, chinese_dir, tmp_path, language):
    tokenizer = OFATokenizer.from_pretrained(english_dir if language == "en" else chinese_dir)
    tokenizer.add_tokens(["<style:Naïve one>", "dog"])
    tokenizer.save_pretrained(tmp_path / "saved")
    for other in (OFATokenizer.from_pretrained(tmp_path / "saved"), pickle.loads(pickle.dumps(tokenizer))):
        assert (len(other), other.added) == (len(tokenizer), tokenizer.added)
        for row in read_lines(ODD_TEXTS)[:100]:
            text = row["text"] + "<style:naïve one> <style:Naïve one>  <mask> dogs"
            assert other.encode(text) == tokenizer.encode(text)


def test_a_vocabulary_without_special_tokens_survives_saving(tmp_path):
    vocab = {"a": 0, "b": 1, "Ġ": 2, "ab": 3}
    tokenizer = OFATokenizer(vocab, [("a", "b")], {"<code_0>": 4})
    assert [tokenizer.token_to_id(t) for t in SPECIAL_TOKENS] == [5, 6, 7, 8, 9]
    assert tokenizer.encode("ab <mask>a<code_0>c") == [3, 9, 0, 4, 7]
    tokenizer.save_pretrained(tmp_path)
    again = OFATokenizer.from_pretrained(tmp_path)
    assert again.encode("ab <mask>a<code_0>c") == [3, 9, 0, 4, 7]
    assert len(again) == len(tokenizer) == 10


def test_decode_skips_special_tokens_only_if_asked(own):
    ids = [own.bos_token_id, *own.encode(" red <code_2>"), own.eos_token_id, own.pad_token_id]
    assert own.decode(ids) == " red <code_2>"
    assert own.decode(np.array(ids), skip_special_tokens=False) == "<s> red <code_2></s><pad>"
    with pytest.raises(UsageError, match=f"id {len(own)}"):
        own.decode([len(own)])


def test_decode_survives_half_a_character(own):
    ids = own.encode("é")
    assert len(ids) == 2
    assert own.decode(ids) == "é"
    assert own.decode([ids[0], own.token_to_id("<code_0>")]) == "\ufffd<code_0>"


def test_a_lone_surrogate_counts_as_the_replacement_character(own):
    assert own.encode("red \ud83d cat") == own.encode("red \ufffd cat")


def test_the_first_difference_of_two_vocabularies(own):
    again = pickle.loads(pickle.dumps(own))
    assert own.first_difference(again) is None
    size = len(own)
    again.add_tokens(["<style:x>"])
    assert own.first_difference(again) == again.first_difference(own) == size
    own.add_tokens(["<style:y>", "<style:x>"])
    assert own.first_difference(again) == size
    assert OFATokenizer({"a": 0, "b": 1}, []).first_difference(OFATokenizer({"a": 0, "c": 1}, [])) == 1


def test_empty_input(own):
    assert own.encode("") == []
    assert own.encode_batch([]) == []
    assert own.decode([]) == ""
    assert own.word_starts([]).tolist() == []


def test_many_texts_at_once_equal_one_by_one(own):
    texts = [f" a red cat {i} <code_{i % 7}> sat" for i in range(300)]
    assert own.encode_batch(texts) == [own.encode(text) for text in texts]


@pytest.mark.parametrize(
    ("vocab", "merges"),
    [("{", ""), ("[1, 2]", ""), ('{"a": "b"}', ""), ('{"a": 0}', "a b\n"), ('{"a": 0}', "a a a\n"), ("\0\xff", "")],
)
def test_unreadable_files_are_a_usage_error(tmp_path, vocab, merges):
    with pytest.raises(UsageError, match="no such directory"):
        OFATokenizer.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="expected vocab.json and merges.txt"):
        OFATokenizer.from_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(vocab, encoding="latin-1")
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}")
    with pytest.raises(UsageError, match="cannot read|is not valid JSON"):
        OFATokenizer.from_pretrained(tmp_path)


def test_word_starts_in_english(own):
    ids = [own.bos_token_id, *own.encode("cat the red<code_1>car"), own.eos_token_id]
    pieces = [own.id_to_token(i) for i in ids]
    flags = own.word_starts(ids)
    assert dict(zip(pieces, flags.tolist(), strict=True))["<code_1>"] == -1
    after = pieces.index("<code_1>") + 1
    expected = [
        -1 if piece in ("<s>", "</s>", "<code_1>") else int(piece.startswith("Ġ") or i in (1, after))
        for i, piece in enumerate(pieces)
    ]
    assert flags.tolist() == expected
    assert 0 in expected
    asked = own.word_starts(ids, include_added=True)
    assert [a for a, f in zip(asked.tolist(), flags.tolist(), strict=True) if a != f] == [1]


def test_word_starts_in_chinese(chinese_dir):
    tokenizer = OFATokenizer.from_pretrained(chinese_dir)
    ids = tokenizer.encode("dogexq店<code_3>")
    pieces = [tokenizer.id_to_token(i) for i in ids]
    assert any(piece.startswith("##") for piece in pieces)
    assert tokenizer.word_starts(ids).tolist() == [*(int(not p.startswith("##")) for p in pieces[:-1]), -1]

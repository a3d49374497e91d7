"""Which kind of vocabulary a directory has is seen by its files."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.text import OFATokenizer, train_tokenizer
from ofakit.text.sentencepiece_tokenizer import SentencePieceTokenizer
from ofakit.text.tokenizer_directory import load_tokenizer

from tests.text.small_t5 import TEXTS, write_t5_vocabulary


def test_each_kind_is_read(tmp_path):
    assert isinstance(load_tokenizer(write_t5_vocabulary(tmp_path / "t5")), SentencePieceTokenizer)
    own = train_tokenizer(TEXTS, 290, num_codes=3, num_bins=1)
    own.save_pretrained(tmp_path / "bpe")
    found = load_tokenizer(tmp_path / "bpe")
    assert isinstance(found, OFATokenizer) and found.first_difference(own) is None


def test_barts_own_vocabulary_gets_no_codes(tmp_path):
    own = train_tokenizer(TEXTS, 290, num_codes=1, num_bins=0)
    own.save_pretrained(tmp_path)
    (tmp_path / "added_tokens.json").unlink()
    vocab = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert load_tokenizer(tmp_path).token_to_id("<code_0>") is None and len(load_tokenizer(tmp_path)) == len(vocab)
    assert OFATokenizer.from_pretrained(tmp_path).token_to_id("<code_0>") == len(vocab)


def test_a_directory_without_one_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no tokenizer in"):
        load_tokenizer(tmp_path)

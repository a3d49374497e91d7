"""How texts become ids."""

from __future__ import annotations

import pickle

import pytest
from ofakit.errors import UsageError
from ofakit.models.reading import HuggingFaceTexts, Reading, train_byte_pairs

TEXTS = ["a red flag with a star", "the capital of the country", "a blue flag", "a red flag, a capital of a country"]


def test_a_trained_vocabulary_knows_its_words_and_cuts_long_texts():
    texts = train_byte_pairs(TEXTS, 400, max_length=5)
    ids = texts.encode(["A RED flag", "", "the capital of the country"])
    tokens = [texts.tokenizer.convert_ids_to_tokens(row) for row in ids]
    assert tokens[0] == ["[CLS]", "Ġa", "Ġred", "Ġflag", "[SEP]"] and tokens[1] == ["[CLS]", "[SEP]"]
    assert len(tokens[2]) == 5 and tokens[2][-1] == "[SEP]"
    assert texts.encode([]) == []


def test_the_order_of_texts_does_not_change_the_vocabulary():
    first, second = (train_byte_pairs(order, 280, 16) for order in (TEXTS, TEXTS[::-1] + TEXTS))
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != train_byte_pairs(TEXTS, 280, 17).fingerprint()
    assert first.fingerprint() != train_byte_pairs(TEXTS[:1], 280, 16).fingerprint()


def test_it_is_saved_and_read_and_survives_pickling(tmp_path):
    texts = train_byte_pairs(TEXTS, 300, 16)
    Reading(texts).save(tmp_path)
    Reading(None, 32).save(tmp_path / "none")
    read = HuggingFaceTexts.load(tmp_path, 16)
    assert read.encode(TEXTS) == texts.encode(TEXTS) == pickle.loads(pickle.dumps(texts)).encode(TEXTS)
    assert read.fingerprint() == texts.fingerprint() and len(read) == len(texts)
    unused = HuggingFaceTexts.load(tmp_path, 16)
    unused.tokenizer.backend_tokenizer.no_truncation()
    assert unused.fingerprint() == texts.fingerprint()
    assert read.pad_token_id == 0 and not (tmp_path / "none").exists()


def test_a_directory_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(UsageError, match=f"no tokenizer in {tmp_path}"):
        HuggingFaceTexts.load(tmp_path, 16)

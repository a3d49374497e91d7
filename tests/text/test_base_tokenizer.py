"""What all tokenizers promise: what stands around a text, and ids of texts in few and in many pieces."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.text import train_tokenizer
from ofakit.text.base_tokenizer import backend_ids
from ofakit.text.sentencepiece_tokenizer import SentencePieceTokenizer

from tests.text.small_t5 import TEXTS, write_t5_vocabulary


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    return SentencePieceTokenizer.from_pretrained(write_t5_vocabulary(tmp_path_factory.mktemp("t5")))


@pytest.fixture(scope="module")
def ofa():
    return train_tokenizer(TEXTS, 290, num_codes=3, num_bins=2)


def test_a_text_begins_with_bos_where_there_is_one(ofa, t5):
    assert ofa.begin == (ofa.bos_token_id,) and ofa.start_token_id == ofa.bos_token_id
    assert t5.begin == () and t5.bos_token_id is None and t5.start_token_id == t5.pad_token_id == 0


def test_pieces_stand_between_special_and_added_tokens(ofa, t5):
    assert ofa.piece_range == (ofa.unk_token_id + 1, ofa.mask_token_id)
    first, behind = t5.piece_range
    assert first == 3 and t5.id_to_token(behind) == "<extra_id_99>"


def test_a_vocabulary_without_mask_says_so(ofa, t5):
    assert ofa.mask_token_id in ofa.special_ids
    with pytest.raises(UsageError, match="no <mask>"):
        _ = t5.mask_token_id


def test_many_texts_have_the_ids_of_each_alone(t5):
    alone = [backend_ids(t5._backend, [text])[0] for text in TEXTS * 2]
    assert len(alone) >= 64 and backend_ids(t5._backend, TEXTS * 2) == alone == t5.encode_batch(TEXTS * 2)


def test_what_was_worked_out_is_worked_out_again_when_tokens_come(ofa):
    assert ofa.word_starts(ofa.encode("<code_1>")).tolist() == [-1]
    (new,) = ofa.add_tokens(["<later>"])
    assert ofa.word_starts([new], include_added=True).tolist() == [1]

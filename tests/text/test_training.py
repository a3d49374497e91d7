"""The layout of a trained vocabulary, and that training is deterministic."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.text import OFATokenizer, train_tokenizer
from ofakit.text.tokenizer import byte_characters

TEXTS = [
    f"{count} {colour} {shape}s stand left of a {size} ring"
    for count in ("two", "three")
    for colour in ("red", "green")
    for shape in ("square", "star")
    for size in ("big", "small")
]


def test_ids_are_laid_out_as_ofas():
    tokenizer = train_tokenizer(TEXTS, vocab_size=300, num_codes=10, num_bins=4)
    tokens = [tokenizer.id_to_token(i) for i in range(len(tokenizer))]
    assert tokens[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert tokens[4:260] == byte_characters()
    assert tokens[299] == "<mask>"
    assert tokens[300:] == [*(f"<code_{i}>" for i in range(10)), *(f"<bin_{i}>" for i in range(4))]
    assert all(len(token) > 1 for token in tokens[260:299])


def test_training_is_deterministic_and_survives_saving(tmp_path):
    first = train_tokenizer(TEXTS, vocab_size=300, num_codes=3, num_bins=0)
    second = train_tokenizer(iter(TEXTS), vocab_size=300, num_codes=3, num_bins=0)
    first.save_pretrained(tmp_path)
    again = OFATokenizer.from_pretrained(tmp_path)
    for text in [*(" " + t for t in TEXTS), "unseen wörds 🙂 <code_2> <mask>"]:
        assert first.encode(text) == second.encode(text) == again.encode(text)
    assert len(again) == len(first) == 303


def test_every_text_survives_the_round_trip():
    tokenizer = train_tokenizer(TEXTS, vocab_size=400, num_codes=0, num_bins=0)
    for text in [*TEXTS, "Ünïcödé 🙂\n\t漢字", " two  spaces "]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(" two red squares")) == 3


def test_more_tokens_than_the_texts_hold_gives_fewer():
    tokenizer = train_tokenizer(["ab ab"], vocab_size=1000, num_codes=1, num_bins=0)
    assert len(tokenizer) < 1000
    assert tokenizer.token_to_id("<code_0>") == tokenizer.mask_token_id + 1 == len(tokenizer) - 1


@pytest.mark.parametrize("sizes", [(260, 0, 0), (300, -1, 0), (300, 0, -1)])
def test_numbers_out_of_range(sizes):
    with pytest.raises(UsageError, match="expected vocab_size >= 261"):
        train_tokenizer(TEXTS, *sizes)

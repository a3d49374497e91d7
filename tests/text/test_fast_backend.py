"""The library's object gives the ids of `OFATokenizer`, which are the stock ones, and keeps them through a file."""

from __future__ import annotations

import json

import pytest
from ofakit.text import OFATokenizer, train_tokenizer
from ofakit.text.fast_backend import fast_backend
from tokenizers import Tokenizer


@pytest.mark.parametrize(("golden", "folder"), [("tokenizer", "ofa_bpe"), ("tokenizer_zh", "ofa_bpe_zh")])
def test_ids_are_the_stock_ones(shared, golden, folder):
    tokenizer = OFATokenizer.from_pretrained(shared / "data" / folder)
    backend = fast_backend(tokenizer)
    rows = [json.loads(line) for line in (shared / "golden" / f"{golden}.jsonl").read_text().splitlines()]
    differing = [row["text"] for row in rows if backend.encode(row["text"], add_special_tokens=False).ids != row["ids"]]
    assert differing == []
    assert backend.get_vocab_size() == len(tokenizer)


def test_bos_and_eos_stand_around_and_a_file_keeps_everything(tmp_path):
    tokenizer = train_tokenizer([" a red circle", " a dog"] * 3, 300, num_codes=4, num_bins=2)
    backend = fast_backend(tokenizer)
    backend.save(str(tmp_path / "tokenizer.json"))
    for found in (backend, Tokenizer.from_file(str(tmp_path / "tokenizer.json"))):
        ids = found.encode(" a red <code_3> dog <mask>.").ids
        assert ids == [0, *tokenizer.encode(" a red <code_3> dog <mask>."), 2]
        assert found.decode(ids) == tokenizer.decode(ids) == " a red <code_3> dog."

"""T5's vocabulary: the ids of transformers, tokens that are added, and what saving and damage do."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest
from ofakit.errors import UsageError
from ofakit.text import train_tokenizer
from ofakit.text.normalization import without_surrogates
from ofakit.text.sentencepiece_tokenizer import SentencePieceTokenizer, has_sentencepiece

from tests.text.small_t5 import TEXTS, write_t5_vocabulary

ODD = [
    "", " ", "a  dog\tin\nthe sea", "résumé ﬁne Ⅳ 犬 🐶", "<extra_id_0>dog", "a <extra_id_3> b</s> <pad>c<unk>",
    "span prediction: a <extra_id_0> dog <extra_id_1>", "▁a ▁ b", "x" * 300,
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_t5_vocabulary(tmp_path_factory.mktemp("t5"))


@pytest.fixture
def tokenizer(folder):
    return SentencePieceTokenizer.from_pretrained(folder)


def odd_texts() -> list[str]:
    lines = Path(__file__).with_name("odd_texts.jsonl").read_text(encoding="utf-8").splitlines()
    return [*ODD, *TEXTS[:6], *(without_surrogates(json.loads(line)["text"]) for line in lines)]


def test_ids_equal_those_of_transformers(folder, tokenizer):
    from transformers import T5TokenizerFast

    stock = T5TokenizerFast.from_pretrained(str(folder))
    texts = odd_texts()
    assert len(texts) > 300
    assert [t for t in texts if tokenizer.encode(t) != stock(t, add_special_tokens=False).input_ids] == []
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_a_model_of_sentencepiece_is_read(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    (tmp_path / "corpus.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "corpus.txt"), model_prefix=str(tmp_path / "spiece"), vocab_size=80, pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    found = SentencePieceTokenizer.from_pretrained(tmp_path)
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "spiece.model"))
    assert [found.encode_as_text(text) for text in TEXTS] == [theirs.encode(text) for text in TEXTS]
    assert found.token_to_id("<extra_id_0>") == len(found) - 1 == theirs.get_piece_size() + 99
    found.save_pretrained(tmp_path / "saved")
    again = SentencePieceTokenizer.from_pretrained(tmp_path / "saved")
    assert again.first_difference(found) is None and again.fingerprint() == found.fingerprint()


def test_without_the_package_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "spiece.model").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UsageError, match=r"needs sentencepiece: pip install 'ofakit\[t5\]'"):
        SentencePieceTokenizer.from_pretrained(tmp_path)


@pytest.mark.parametrize("text", ["a dog</s>", "<extra_id_0> dog", "<pad>", "<style:wild>"])
def test_as_text_no_token_is_spelled(tokenizer, text):
    tokenizer.add_tokens(["<style:wild>"])
    assert set(tokenizer.encode(text)) & set(tokenizer.added.values())
    ids = tokenizer.encode_as_text(text)
    assert ids and not set(ids) & (set(tokenizer.added.values()) - {tokenizer.unk_token_id})


def test_as_text_other_texts_have_their_usual_ids(tokenizer):
    assert [tokenizer.encode_as_text(text) for text in TEXTS] == tokenizer.encode_batch(TEXTS)


def test_tokens_are_added_behind_and_kept(tokenizer, tmp_path):
    before = len(tokenizer)
    assert tokenizer.add_tokens(["<vis_extra_id_0>", "<extra_id_0>", "<style:a b>", "<vis_extra_id_0>"]) == [
        before, before + 1,
    ]  # fmt: skip
    assert tokenizer.add_tokens(["<style:a b>"]) == [] and len(tokenizer) == before + 2
    ids = tokenizer.encode("caption: <style:a b> dog <vis_extra_id_0>")
    assert before in ids and before + 1 in ids
    tokenizer.save_pretrained(tmp_path)
    for again in (SentencePieceTokenizer.from_pretrained(tmp_path), pickle.loads(pickle.dumps(tokenizer))):
        assert again.first_difference(tokenizer) is None and again.added == tokenizer.added
        assert again.encode("caption: <style:a b> dog <vis_extra_id_0>") == ids
        assert again.fingerprint() == tokenizer.fingerprint()


def test_transformers_reads_what_is_saved(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.add_tokens(["<style:wild>"])
    tokenizer.save_pretrained(tmp_path)
    text = "caption: <style:wild> a dog"
    assert AutoTokenizer.from_pretrained(str(tmp_path))(text).input_ids == [*tokenizer.encode(text), 1]


def test_texts_come_back(tokenizer):
    assert tokenizer.decode_batch(tokenizer.encode_batch(TEXTS)) == TEXTS
    ids = [*tokenizer.encode("a dog"), tokenizer.eos_token_id, tokenizer.pad_token_id]
    assert tokenizer.decode(ids) == "a dog" and tokenizer.decode(ids, skip_special_tokens=False) == "a dog</s><pad>"
    with pytest.raises(UsageError, match="no token has the id 99999"):
        tokenizer.decode([99999])


def test_words_begin_where_a_piece_says_so(tokenizer):
    ids = [*tokenizer.encode("a wild dog <extra_id_0> sea"), tokenizer.eos_token_id]
    starts = tokenizer.word_starts(ids).tolist()
    pieces = [tokenizer.id_to_token(i) for i in ids]
    assert [s == 1 for s in starts] == [piece.startswith("▁") for piece in pieces]
    assert [pieces[k] for k, s in enumerate(starts) if s == -1] == ["<extra_id_0>", "</s>"]
    assert tokenizer.piece(ids[0]) == (pieces[0][1:], True) and tokenizer.language == "en"


def test_which_directories_have_one(folder, tmp_path):
    assert has_sentencepiece(folder) and not has_sentencepiece(tmp_path)
    train_tokenizer(TEXTS, 290, num_codes=1, num_bins=0).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert not has_sentencepiece(tmp_path)


def test_damage_is_said(folder, tmp_path):
    with pytest.raises(UsageError, match=r"no tokenizer in .*expected tokenizer\.json or spiece\.model"):
        SentencePieceTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="is no tokenizer of the library tokenizers"):
        SentencePieceTokenizer.from_pretrained(tmp_path)
    state = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    bpe = {**state, "model": {"type": "BPE", "vocab": {"<pad>": 0, "</s>": 1, "<unk>": 2}, "merges": []}}
    (tmp_path / "tokenizer.json").write_text(json.dumps({**bpe, "added_tokens": []}), encoding="utf-8")
    with pytest.raises(UsageError, match="expected a unigram model of SentencePiece, as T5 has, found BPE"):
        SentencePieceTokenizer.from_pretrained(tmp_path)
    lacking = {**state, "added_tokens": [token for token in state["added_tokens"] if token["content"] != "</s>"]}
    (tmp_path / "tokenizer.json").write_text(json.dumps({**lacking, "post_processor": None}), encoding="utf-8")
    with pytest.raises(UsageError, match="found no </s>"):
        SentencePieceTokenizer.from_pretrained(tmp_path)

"""Texts become ids as a model was taught them: cleaned, with OFA's space, between bos and eos, and shifted."""

from __future__ import annotations

import pickle

import pytest
from ofakit.config.schema import PreprocessorSection
from ofakit.errors import UsageError
from ofakit.text import StyleSet, train_tokenizer
from ofakit.text.codec import TextCodec
from ofakit.text.sentencepiece_tokenizer import SentencePieceTokenizer

from tests.text.small_t5 import write_t5_vocabulary


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([" what does a dog say? A red dog, a blue dog!"] * 4, 300, num_codes=4, num_bins=0)


def codec_of(tokenizer, styles=None, **section):
    return TextCodec(tokenizer, PreprocessorSection(**section), styles)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({}, " a red dog"),
        ({"lowercase": False}, " A Red dog"),
        ({"strip_punctuation": False}, " a red, dog!"),
        ({"leading_space": False}, "a red dog"),
    ],
)
def test_a_caption_is_cleaned_as_the_section_says(tokenizer, section, expected):
    codec = codec_of(tokenizer, **section)
    assert codec.caption(" A Red,\n dog!") == tokenizer.encode(expected)
    assert codec.texts([codec.caption(" A Red,\n dog!")]) == [expected.strip()]


def test_a_prompt_is_encoded_as_it_is_and_once(tokenizer, monkeypatch):
    codec, encoded, encode = codec_of(tokenizer), [], type(tokenizer).encode
    monkeypatch.setattr(type(tokenizer), "encode", lambda self, text: encoded.append(text) or encode(self, text))
    first, again = codec.fixed(" A Dog!"), codec.fixed(" A Dog!")
    assert first == again == encode(tokenizer, " A Dog!") and encoded == [" A Dog!"]


def test_ids_are_spliced_into_a_prompt_between_bos_and_eos(tokenizer):
    codec = codec_of(tokenizer)
    before, after = tokenizer.encode(" what"), tokenizer.encode(" say?")
    assert codec.source(" what").tolist() == [0, *before, 2]
    assert codec.source(" what", [7, 8], " say?").tolist() == [0, *before, 7, 8, *after, 2]
    assert codec.source(" what", [7, 8]).tolist() == [0, *before, 7, 8, 2]


@pytest.mark.parametrize("length", [2, 3, 4, 5, 9])
def test_a_source_that_is_too_long_loses_its_end_and_keeps_eos(tokenizer, length):
    codec = codec_of(tokenizer)
    whole = [*codec.fixed(" what"), 7, 8, 9]
    assert codec.source(" what", [7, 8, 9], max_length=length).tolist() == [0, *whole[: length - 2], 2]


@pytest.mark.parametrize("ids", [[], [5], [5, 6, 7]])
def test_a_target_is_read_one_step_behind(tokenizer, ids):
    found = codec_of(tokenizer).target(ids)
    assert found["target"].tolist() == [*ids, 2] and found["decoder_input_ids"].tolist() == [0, *ids]
    assert str(found["target"].dtype) == "torch.int64"


def test_special_tokens_are_those_of_the_vocabulary():
    class Elsewhere:
        begin, start_token_id, eos_token_id = (101,), 103, 102

        def encode(self, text):
            return [ord(letter) for letter in text]

    codec = codec_of(Elsewhere())
    assert codec.source("a").tolist() == [101, 97, 102]
    assert codec.target([3])["decoder_input_ids"].tolist() == [103, 3]


def test_texts_stand_without_special_tokens_and_without_space_around(tokenizer):
    codec = codec_of(tokenizer)
    dog = tokenizer.encode(" dog")
    assert codec.texts([[*dog, *dog, 2], [2], [], [*dog, 1, 1]]) == ["dog dog", "", "", "dog"]


def test_a_style_stands_in_a_prompt_as_the_set_has_it(tokenizer):
    codec = codec_of(tokenizer, StyleSet(["calm", "wild"]))
    assert (codec.style("WILD"), codec.style("other"), codec.style(None), codec.style("")) == (
        "<code_1>", "<code_2>", "<code_2>", "<code_2>",
    )  # fmt: skip
    with pytest.raises(UsageError, match="style.mode"):
        codec_of(tokenizer).style("calm")


def test_it_survives_pickling(tokenizer):
    codec = codec_of(tokenizer, StyleSet(["calm"]), lowercase=False)
    again = pickle.loads(pickle.dumps(codec))
    assert again.caption("A dog") == codec.caption("A dog") and again.style("calm") == "<code_0>"


@pytest.mark.parametrize("token", ["</s>", "<pad>", "<s>", "<mask>", "<unk>", "<code_3>"])
def test_tokens_that_a_caption_spells_are_text(tokenizer, token):
    codec = codec_of(tokenizer, strip_punctuation=False)
    ids = codec.caption(f"a red {token} dog")
    assert not set(ids) & {*tokenizer.special_ids, tokenizer.token_to_id("<code_3>")}
    assert codec.texts([ids]) == [f"a red {token} dog"]
    target = codec.target(ids)["target"].tolist()
    assert target.count(tokenizer.eos_token_id) == 1 and target[-1] == tokenizer.eos_token_id
    assert tokenizer.added[token] in codec.fixed(f"a prompt with {token}")


def test_a_vocabulary_without_bos_has_eos_behind_texts_and_starts_with_pad(tmp_path):
    t5 = SentencePieceTokenizer.from_pretrained(write_t5_vocabulary(tmp_path))
    codec = codec_of(t5)
    dog = t5.encode("a wild dog")
    assert codec.source("a wild", t5.encode("dog")).tolist() == [*dog, 1] == codec.source(" a wild dog").tolist()
    assert codec.source("a wild dog", max_length=3).tolist() == [*dog[:2], 1]
    target = codec.target(codec.caption("A wild dog!"))
    assert target["target"].tolist() == [*dog, 1] and target["decoder_input_ids"].tolist() == [0, *dog]

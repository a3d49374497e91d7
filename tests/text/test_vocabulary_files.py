"""The files of a tokenizer's directory: what is written is read again, and what is wrong is named."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.text.vocabulary_files import (
    read_added,
    read_base,
    read_options,
    write_added,
    write_chinese,
    write_english,
)


def test_an_english_vocabulary_is_read_as_it_was_written(tmp_path):
    vocab, merges = {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4}, [("a", "b"), ("Ġ", "ab")]
    write_english(tmp_path, vocab, merges)
    assert read_base(tmp_path) == (vocab, merges)
    assert (tmp_path / "merges.txt").read_text("utf-8") == "#version: 0.2\na b\nĠ ab\n"
    assert (tmp_path / "vocab.json").read_text("utf-8") == '{"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġab": 4}'


def test_a_chinese_vocabulary_is_read_as_it_was_written_and_missing_ids_are_empty_lines(tmp_path):
    write_chinese(tmp_path, {"[UNK]": 0, "字": 1, "##g": 3}, {"do_lower_case": False})
    assert (tmp_path / "vocab.txt").read_text("utf-8") == "[UNK]\n字\n\n##g\n"
    assert read_base(tmp_path) == ({"[UNK]": 0, "字": 1, "": 2, "##g": 3}, None)
    assert read_options(tmp_path) == {"do_lower_case": False}


def test_english_files_come_before_chinese_ones(tmp_path):
    write_chinese(tmp_path, {"字": 0}, {})
    (tmp_path / "vocab.json").write_text('{"a": 0}')
    assert read_base(tmp_path)[1] is None, "vocab.json alone makes no English tokenizer"
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    assert read_base(tmp_path) == ({"a": 0}, [])


def test_added_tokens_may_be_missing(tmp_path):
    assert read_added(tmp_path) is None
    write_added(tmp_path, {"<style:naïve>": 7})
    assert read_added(tmp_path) == {"<style:naïve>": 7}
    write_added(tmp_path, {})
    assert read_added(tmp_path) == {}


def test_other_settings_are_left_out(tmp_path):
    assert read_options(tmp_path) == {}
    settings = {"strip_accents": None, "tokenize_chinese_chars": False, "model_max_length": 512}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert read_options(tmp_path) == {"strip_accents": None, "tokenize_chinese_chars": False}


@pytest.mark.parametrize(
    ("vocab", "merges", "message"),
    [
        ("{", "", "Expecting property name"),
        ("[1, 2]", "", "object of tokens and ids in vocab.json"),
        ('{"a": "b"}', "", "object of tokens and ids in vocab.json"),
        ('{"a": -1}', "", "object of tokens and ids in vocab.json"),
        ('{"a": true}', "", "object of tokens and ids in vocab.json"),
        ('{"a": 0, "ab": 1}', "a b\n", "has 'a b', expected two pieces that the vocabulary knows"),
        ('{"a": 0, "b": 1}', "a b\n", "has 'a b', expected two pieces"),
        ('{"a": 0, "aaa": 1}', "a a a\n", "has 'a a a', expected two pieces"),
        ('{"a": 0}', "\n", "has '', expected two pieces"),
    ],
)
def test_an_unreadable_english_vocabulary_is_named(tmp_path, vocab, merges, message):
    (tmp_path / "vocab.json").write_text(vocab)
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}")
    with pytest.raises(ValueError, match=message):
        read_base(tmp_path)


@pytest.mark.parametrize("content", ["3", "[]", "null", "{"])
def test_settings_that_are_no_object_are_named(tmp_path, content):
    (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(ValueError, match="object of settings in tokenizer_config.json|Expecting"):
        read_options(tmp_path)


def test_a_directory_without_a_vocabulary_is_named_with_what_it_has(tmp_path):
    with pytest.raises(UsageError, match="expected vocab.json and merges.txt .*found nothing"):
        read_base(tmp_path)
    (tmp_path / "vocab.json").write_text("{}")
    (tmp_path / "model.bin").touch()
    with pytest.raises(UsageError, match="found model.bin, vocab.json"):
        read_base(tmp_path)
    with pytest.raises(UsageError, match="found no such directory"):
        read_base(tmp_path / "nowhere")


def write_bpe(folder, dictionary="2 9\n0 5\nmadeupword0000 0\n1 1\n"):
    (folder / "dict.txt").write_text(dictionary)
    (folder / "encoder.json").write_text(json.dumps({"a": 0, "b": 1, "ab": 2}))
    (folder / "vocab.bpe").write_text("#version: 0.2\na b\n")
    return folder


def test_the_folders_of_ofa_are_numbered_as_fairseq_does(tmp_path):
    vocab, merges = read_base(write_bpe(tmp_path))
    assert list(vocab) == ["<s>", "<pad>", "</s>", "<unk>", "ab", "a", "madeupword0000", "b", "<mask>"]
    assert list(vocab.values()) == list(range(9)) and merges == [("a", "b")]
    chinese = tmp_path / "zh"
    chinese.mkdir()
    (chinese / "vocab.txt").write_text("[PAD]\n\u4e00\n", encoding="utf-8")
    (chinese / "dict.txt").write_text("[PAD] 1\n\u4e00 1\n", encoding="utf-8")
    assert read_base(chinese) == (
        {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "[PAD]": 4, "\u4e00": 5, "<mask>": 6}, None
    )  # fmt: skip


@pytest.mark.parametrize("dictionary", ["2 9\nx\n", "2 9\n2 8\n", "<s> 1\n"])
def test_a_dictionary_that_is_none_is_refused(tmp_path, dictionary):
    with pytest.raises(ValueError, match="dict.txt"):
        read_base(write_bpe(tmp_path, dictionary))

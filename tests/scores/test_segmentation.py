"""Texts without spaces are scored by characters, with the same result as with spaces; other texts are not touched."""

import sys
import types

import pytest
from ofakit.errors import UsageError
from ofakit.scores import ptb_tokenize
from ofakit.scores.segmentation import segmented, tokenize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一只白色的小狗", "一 只 白 色 的 小 狗"),
        ("一只狗,在“草地”上。", "一 只 狗 在 草 地 上"),
        ("2只狗和a cat!", "2 只 狗 和 a cat"),
        ("いぬがはしる。", "い ぬ が は し る"),
        ("เด็กวิ่ง", "เ ด็ ก วิ่ ง"),
    ],
)
def test_characters_are_words(text, expected):
    assert tokenize([text])[0] == expected
    spaced = segmented(text)
    assert tokenize([spaced]) == tokenize([text])


@pytest.mark.parametrize("text", ["A dog's life — isn't it?", "É “quoted”, plan B.", "", "강아지가 달린다"])
def test_texts_with_spaces_are_as_they_were(text):
    assert segmented(text) is text
    assert tokenize([text, "A dog"]) == ptb_tokenize([text, "A dog"])
    assert tokenize(["一只狗"], "spaces") == ["一只狗"]


def test_words_are_asked_of_jieba(monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", types.SimpleNamespace(lcut=lambda text: ["一只", "狗", " "]))
    assert tokenize(["一只狗。"], "words") == ["一只 狗"]
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(UsageError, match="pip install jieba"):
        tokenize(["一只狗"], "words")
    assert tokenize(["a dog"], "words") == ["a dog"]


def test_what_is_no_segmentation_or_no_list_is_refused():
    with pytest.raises(UsageError, match="expected one of characters, words, spaces, found 'letters'"):
        segmented("x", "letters")
    with pytest.raises(UsageError, match="wrap it in a list"):
        tokenize("一只狗")
    with pytest.raises(UsageError, match=r"texts\[1\]: expected a string, found 3"):
        tokenize(["x", 3])

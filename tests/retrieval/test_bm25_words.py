"""Words of BM25: cut as bm25s cuts them, without stop words, stemmed, and known by their numbers."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from ofakit.errors import UsageError
from ofakit.retrieval import BM25Settings
from ofakit.retrieval.bm25_words import known_words, tokenize


def words_of(text, **keys):
    (words,) = tokenize([text], BM25Settings(**keys), words=True)
    return words


def test_words_are_lower_case_and_have_two_characters():
    assert words_of("The Dogs, a dog's café; x 42!") == ["dogs", "dog", "café", "42"]
    assert words_of("The dogs and a cat", stopwords=None) == ["the", "dogs", "and", "cat"]
    assert words_of("The dogs and a cat", stopwords=["cat"]) == ["the", "dogs", "and"]
    assert words_of("Der Hund und die Katze", stopwords="de") == ["hund", "katze"]


def test_numbers_stand_for_words():
    tokens = tokenize(["red dog", None, "dog dog"], BM25Settings())
    red, dog = tokens.vocab["red"], tokens.vocab["dog"]
    assert tokens.ids == [[red, dog], [], [dog, dog]]


def test_known_words_come_as_often_as_they_stand_there():
    found = known_words(["red dog dog", "", None, "zebra"], {"dog": 7, "red": 2, "": 9}, BM25Settings())
    assert [words.tolist() for words in found] == [[2, 7, 7], [], [], []]
    assert all(words.dtype == "int64" for words in found)


def test_stems_are_those_of_pystemmer(monkeypatch):
    stemmer = SimpleNamespace(stemWords=lambda words: [word.rstrip("s") for word in words])
    fake = SimpleNamespace(algorithms=lambda: ["english"], Stemmer=lambda language: stemmer)
    monkeypatch.setitem(sys.modules, "Stemmer", fake)
    assert words_of("dogs cats", stemmer="english") == ["dog", "cat"]
    with pytest.raises(UsageError, match="unknown stemmer 'englich': did you mean 'english'"):
        words_of("dogs", stemmer="englich")
    monkeypatch.setitem(sys.modules, "Stemmer", None)
    with pytest.raises(UsageError, match="pip install PyStemmer"):
        words_of("dogs", stemmer="english")


def test_an_unknown_language_is_refused():
    with pytest.raises(UsageError, match="stopwords 'klingon'"):
        words_of("dogs", stopwords="klingon")

"""METEOR's data: function words, abbreviations, what is known of a word, and a reason where there is none."""

from __future__ import annotations

import pytest
from ofakit.scores import MissingScoreError, meteor
from ofakit.scores.matching import english as module
from ofakit.scores.matching.english import english, meteor_folder, word_of


def test_function_words_are_the_list_of_the_program():
    words = english().function_words
    assert len(words) == 93
    assert {"the", "a", ",", "'s", "-lrb-", "\u2014", "years"} <= words
    assert not {"", "dog", "we're", "up and"} & words


def test_abbreviations_of_both_kinds():
    data = english()
    assert {"Mr", "Dr", "A"} <= data.abbreviations and "No" in data.before_numbers
    assert not data.abbreviations & data.before_numbers


def test_what_is_known_of_a_word():
    runs, running, dog, hound, the = map(word_of, ("runs", "running", "dog", "hound", "the"))
    assert runs.stem == running.stem and runs.key != running.key
    assert set(dog.sets) & set(hound.sets) and dog.stem != hound.stem
    assert the.function and not dog.function
    assert dog.paraphrase_id and not word_of("no_such_word").paraphrase_id
    assert word_of("").sets == () and list(dog.sets) == sorted(dog.sets)


@pytest.mark.parametrize(("one", "other"), [("aa", "ab"), ("Aa", "BB"), ("é😀", "é😀")])
def test_words_are_told_apart_by_javas_hash(one, other):
    """`Aa` and `BB` have one hash in Java, so METEOR takes them for one word; the emoji counts as two units."""
    same = other != "ab"
    assert (word_of(one).key == word_of(other).key) == same
    assert word_of("😀").key == 31 * 0xD83D + 0xDE00


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """No data was read yet, and it is looked for in an empty folder."""
    english.cache_clear()
    monkeypatch.setattr(module, "meteor_folder", lambda: tmp_path)
    yield tmp_path
    english.cache_clear()


def test_without_pycocoevalcap_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingScoreError, match=r'come with pycocoevalcap; pip install "ofakit\[scores\]"'):
        meteor_folder()


@pytest.mark.parametrize("content", [None, b"", b"no archive"])
def test_a_broken_package_is_named(elsewhere, content):
    if content is not None:
        (elsewhere / "meteor-1.5.jar").write_bytes(content)
    with pytest.raises(MissingScoreError, match="METEOR's data, .*cannot be read.*reinstall it with"):
        meteor(["a dog"], [["a dog"]])


def test_missing_paraphrases_are_named(elsewhere, monkeypatch):
    (elsewhere / "meteor-1.5.jar").write_bytes((real_folder() / "meteor-1.5.jar").read_bytes())
    with pytest.raises(MissingScoreError, match=r"cannot be read.*paraphrase-en\.gz"):
        english()


def real_folder():
    spec = module.importlib.util.find_spec("pycocoevalcap")
    return module.Path(spec.submodule_search_locations[0], "meteor")

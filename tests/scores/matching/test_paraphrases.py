"""The table of paraphrases: read as the file has it, kept whole or not at all, and cut to what some texts can use."""

from __future__ import annotations

import gzip
import random

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.scores.array_files import unpack_strings
from ofakit.scores.matching import paraphrases as module
from ofakit.scores.matching.paraphrases import load_paraphrases, read_paraphrases, usable_paraphrases
from ofakit.scores.ngrams import encode_texts, new_vocabulary

PAIRS = [
    ("next to", "beside"), ("next to", "close by"), ("next", "following"), ("dög", "hound"), ("dög", "a pet"),
    ("a b c d e f g", "alphabet"), ("beside", "next to"), ("a b", "b a"),
]  # fmt: skip


def write(path, pairs, ending="\n"):
    path.write_bytes(gzip.compress("".join(f"0.5\n{a}\n{b}\n" for a, b in pairs).encode() + ending.encode()[1:]))
    return path


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("OFAKIT_CACHE", str(tmp_path / "cache"))
    return write(tmp_path / "paraphrase-en.gz", PAIRS)


def pairs_of(table):
    """The table's pairs as texts."""
    words = ["", *unpack_strings(table.vocabulary)]
    found = []
    for phrase, (first, many, start) in zip(table.phrases, table.paraphrases, strict=True):
        for length in table.lengths[first : first + many]:
            texts = phrase[phrase > 0], table.words[start : start + length]
            found.append(tuple(" ".join(words[number] for number in text) for text in texts))
            start += length
    return found


def test_the_table_is_the_file(file):
    table = read_paraphrases(file)
    assert sorted(pairs_of(table)) == sorted(PAIRS)
    assert [pair for pair in pairs_of(table) if pair[0] == "next to"] == PAIRS[:2], "in the order of the file"
    assert table.phrases.tolist() == sorted(table.phrases.tolist())
    assert set(table.word_ids().values()) == set(range(1, 1 + len(table.word_ids())))


def test_chance_tables_too(tmp_path):
    generator = random.Random(3)
    words = ["a", "bb", "ç", "dog", "e1", "'", "中"]
    phrases = [" ".join(generator.choices(words, k=generator.randint(1, 7))) for _ in range(300)]
    pairs = [(phrase, generator.choice(phrases)) for phrase in phrases for _ in range(generator.randint(1, 4))]
    assert sorted(pairs_of(read_paraphrases(write(tmp_path / "x.gz", pairs)))) == sorted(pairs)


def test_the_cache_is_the_table(file, tmp_path, monkeypatch):
    first = load_paraphrases(file)
    (kept,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(module, "read_paraphrases", lambda path: pytest.fail("it was read again"))
    for one, other in zip(first, load_paraphrases(file), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    assert kept.name.startswith("meteor-paraphrase-en-")


def test_another_file_has_another_cache(file, tmp_path):
    load_paraphrases(file)
    write(file, PAIRS[1:])
    assert sorted(pairs_of(load_paraphrases(file))) == sorted(PAIRS[1:])
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda data: data[:200], lambda data: b"", lambda data: data[:-400] + b"x" * 400])
def test_a_damaged_cache_is_made_anew(file, tmp_path, damage):
    load_paraphrases(file)
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    assert sorted(pairs_of(load_paraphrases(file))) == sorted(PAIRS)
    assert len(kept.read_bytes()) == len(whole)


def test_without_room_for_a_cache_it_works_and_says_so(file, tmp_path, monkeypatch, caplog):
    (tmp_path / "taken").touch()
    monkeypatch.setenv("OFAKIT_CACHE", str(tmp_path / "taken"))
    assert sorted(pairs_of(load_paraphrases(file))) == sorted(PAIRS)
    assert "are read again each time" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip at all", gzip.compress(b""), gzip.compress(b"0.5\na\nb\n" * 9)[:30]],
    ids=["empty", "other", "empty inside", "cut off"],
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.gz: expected METEOR's paraphrases.*reinstall pycocoevalcap"):
        read_paraphrases(path)


@pytest.mark.parametrize("pair", [("a b c d e f g h", "x"), ("x", "a b c d e f g h"), ("x", "a " * 300 + "b")])
def test_a_phrase_too_long_for_the_arrays_is_refused(tmp_path, pair):
    with pytest.raises(UsageError, match="7 words per phrase, found another file"):
        read_paraphrases(write(tmp_path / "x.gz", [("a", "b"), pair]))


def test_more_words_than_the_arrays_hold_are_refused(tmp_path):
    with pytest.raises(UsageError, match="at most 65535 words"):
        read_paraphrases(write(tmp_path / "x.gz", [(f"a{n}", f"b{n}") for n in range(33_000)]))


def usable(table, texts):
    """The phrases at each place of each text, with their paraphrases."""
    vocabulary = new_vocabulary()
    words, bounds = encode_texts(texts, vocabulary)
    known = {number: word for word, number in vocabulary.items()}
    ids = table.word_ids()
    places = np.array([ids.get(known[number], 0) if number else 0 for number in words], np.int32)
    found = usable_paraphrases(table, places, bounds)
    spelling = ["", *unpack_strings(table.vocabulary)]
    result = []
    for begin, end in bounds:
        for place in range(begin, end):
            for span in range(found.spans[place], found.spans[place + 1]):
                number = found.span_lists[span]
                entries = [
                    " ".join(spelling[word] for word in found.words[found.entries[entry] : found.entries[entry + 1]])
                    for entry in range(found.lists[number], found.lists[number + 1])
                ]
                result.append((int(place - begin), int(found.span_lengths[span]), entries))
    return result


def test_phrases_at_each_place_shorter_ones_first(file):
    table = read_paraphrases(file)
    found = usable(table, ["it is next to a dög", "following beside close by"])
    assert found == [
        (2, 1, ["following"]), (2, 2, ["beside", "close by"]), (5, 1, []), (1, 1, ["next to"]),
    ]  # fmt: skip


def test_phrases_end_with_the_text_and_cover_no_two(file):
    table = read_paraphrases(file)
    assert usable(table, ["a b c d e f g h", "alphabet"]) == [(0, 2, []), (0, 7, ["alphabet"])]
    assert usable(table, ["a b c d e f", "g alphabet next", "to beside"]) == [(0, 2, []), (2, 1, []), (1, 1, [])]


def test_a_word_that_the_table_lacks_breaks_a_phrase(file):
    assert usable(read_paraphrases(file), ["next zebra to", "", "beside"]) == [(0, 1, []), (0, 1, [])]

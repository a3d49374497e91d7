"""The three modes of styles, their identity, and styles that are not in the list."""

from __future__ import annotations

import json
import logging
import pickle

import pytest
from ofakit.errors import UsageError
from ofakit.text import OFATokenizer, StyleSet, train_tokenizer
from ofakit.text.styles import MODES, style_token

NAMES = ["Humorous", "Money-minded", "Stoic (Unemotional, Matter-of-fact)", "Full of {Life}"]


@pytest.fixture
def tokenizer() -> OFATokenizer:
    return train_tokenizer([" Humorous Stoic"] * 3, vocab_size=280, num_codes=8, num_bins=0)


@pytest.mark.parametrize("mode", MODES)
def test_case_and_space_never_decide(mode):
    styles = StyleSet(NAMES, mode)
    for name in NAMES:
        spellings = [name, name.upper(), name.lower(), f" {name}\t", name.replace(" ", "  "), name.title()]
        assert len({styles.text(spelling) for spelling in spellings}) == 1
        assert {styles.index(spelling) for spelling in spellings} == {NAMES.index(name)}
    assert not styles.unknown_counts
    assert "humorous " in styles
    assert "grim" not in styles


def test_text_of_each_mode():
    texts = {mode: [StyleSet(NAMES, mode).text(name.upper()) for name in NAMES[:2]] for mode in MODES}
    assert texts["code"] == ["<code_0>", "<code_1>"]
    assert texts["new"] == ["<style:humorous>", "<style:money-minded>"]
    assert texts["plain"] == NAMES[:2]


@pytest.mark.parametrize(
    ("mode", "expected"), [("code", "<code_4>"), ("new", "<style:unknown>"), ("plain", "Grim one")]
)
def test_unknown_styles_are_counted_and_warned_of_once(caplog, mode, expected):
    styles = StyleSet(NAMES, mode)
    with caplog.at_level(logging.WARNING, logger="ofakit"):
        assert [styles.text(" Grim  one") for _ in range(3)] == [expected] * 3
        assert styles.text("other") != styles.text("humorous")
    assert styles.text(None) == ("unknown" if mode == "plain" else expected)
    assert dict(styles.unknown_counts) == {"Grim one": 3, "other": 1}
    assert len(caplog.records) == 1
    assert "'Grim one'" in caplog.text


def test_check_warns_once_with_the_count(caplog):
    styles = StyleSet(NAMES)
    with caplog.at_level(logging.WARNING, logger="ofakit"):
        assert styles.check(["humorous", None, "Grim", "Odd", "Grim "]) == {"Grim": 2, "Odd": 1}
        styles.text("Grim")
        assert styles.check(["HUMOROUS"]) == {}
    assert len(caplog.records) == 1
    assert "3 use(s) of 2 style(s)" in caplog.text


def test_a_set_without_unknown_styles_does_not_warn(caplog):
    StyleSet(NAMES).check(NAMES)
    assert not caplog.records


@pytest.mark.parametrize("mode", MODES)
def test_strict_refuses_unknown_styles(mode):
    styles = StyleSet(NAMES, mode, strict=True)
    for ask in (styles.text, styles.index, lambda style: styles.check([style])):
        with pytest.raises(UsageError, match="did you mean 'Humorous'"):
            ask("humorouss")
    assert styles.check(NAMES) == {}


@pytest.mark.parametrize("names", [[], "humorous", ["a", "A "], ["a", " "]])
def test_impossible_lists(names):
    with pytest.raises(UsageError):
        StyleSet(names)


def test_names_with_one_token_are_refused_where_styles_have_tokens():
    for names in (["Old man", "calm", "old_man"], ["A  b", "a_B"]):
        with pytest.raises(UsageError, match="the styles .* have the same token '<style:.*rename one of them"):
            StyleSet(names, "new")
        for mode in ("code", "plain"):
            styles = StyleSet(names, mode)
            assert len({styles.text(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("Calm", "<style:calm>"),
        (" Old  man ", "<style:old_man>"),
        ("Über (ΛΌΓΟΣ)", "<style:über_(λόγοσ)>"),
        ("冷静", "<style:冷静>"),
    ],
)
def test_tokens_of_names(name, token):
    assert style_token(name) == token


def test_unicode_forms_of_a_name_are_one_style():
    styles = StyleSet(["Naïve", "Straße"])
    assert styles.index("nai\u0308ve") == 0 and styles.index("STRASSE") == 1
    assert styles.spelling("NAI\u0308VE") == "Naïve"
    with pytest.raises(UsageError, match="styles 0 and 1 are the same"):
        StyleSet(["Naïve", "nai\u0308ve"])


def test_blank_styles_are_unknown_and_not_the_first():
    styles = StyleSet(NAMES)
    assert styles.text("") == styles.text(" ") == "<code_4>"
    assert styles.check(["", None]) == {"": 1}


def test_unknown_mode_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'plain'"):
        StyleSet(NAMES, "plane")


def test_code_mode_needs_codes_for_all_and_for_the_unknown(tokenizer):
    size = len(tokenizer)
    assert StyleSet([f"s{i}" for i in range(7)]).prepare(tokenizer) == {}
    assert len(tokenizer) == size
    with pytest.raises(UsageError, match="8 styles .*no <code_8>: .*model.tokenizer.num_codes to 9"):
        StyleSet([f"s{i}" for i in range(8)]).prepare(tokenizer)


def test_new_tokens_are_made_of_the_pieces_of_their_names(tokenizer, tmp_path):
    styles = StyleSet(NAMES, "new")
    size = len(tokenizer)
    with pytest.raises(UsageError, match="call prepare"):
        styles.initial_rows(tokenizer)
    rows = styles.prepare(tokenizer)
    assert list(rows) == list(range(size, size + 5))
    assert rows[size] == tokenizer.encode(" Humorous")
    assert rows[size + 2] == tokenizer.encode(" Stoic Unemotional Matter of fact")
    assert rows[size + 4] == tokenizer.encode(" unknown")
    assert tokenizer.encode(f"a {styles.text('MONEY-minded')}.")[-2] == size + 1
    assert styles.prepare(tokenizer) == {}
    assert styles.initial_rows(tokenizer) == rows
    tokenizer.save_pretrained(tmp_path)
    again = OFATokenizer.from_pretrained(tmp_path)
    assert styles.prepare(again) == {}
    assert again.encode(styles.text("humorous")) == [size]


def test_a_name_without_letters_is_made_of_its_signs(tokenizer):
    size = len(tokenizer)
    assert StyleSet(["!?", "Stoic!"], "new").prepare(tokenizer) == {
        size: tokenizer.encode(" !?"),
        size + 1: tokenizer.encode(" Stoic"),
        size + 2: tokenizer.encode(" unknown"),
    }


def test_plain_mode_needs_no_tokens(tokenizer):
    size = len(tokenizer)
    assert StyleSet(NAMES, "plain").prepare(tokenizer) == {}
    assert StyleSet(NAMES, "plain").tokens() == []
    assert len(tokenizer) == size


@pytest.mark.parametrize("mode", MODES)
def test_json_and_pickle_round_trip(mode):
    styles = StyleSet(NAMES, mode, strict=True)
    for again in (StyleSet.from_dict(json.loads(json.dumps(styles.to_dict()))), pickle.loads(pickle.dumps(styles))):
        assert again.to_dict() == styles.to_dict()
        assert again.text("humorous") == styles.text("humorous")
    with pytest.raises(UsageError, match="did you mean 'names'"):
        StyleSet.from_dict({"nmes": NAMES})
    with pytest.raises(UsageError, match="need 'names'"):
        StyleSet.from_dict({"mode": mode})


def test_files(tmp_path):
    path = tmp_path / "styles.txt"
    path.write_text("Calm\r\nMoney-minded\n\n")
    assert StyleSet.from_file(path).names == ["Calm", "Money-minded"]
    path.write_text("Calm\nNaïve", encoding="utf-8-sig")
    assert StyleSet.from_file(path).names == ["Calm", "Naïve"], "a byte order mark is no part of the first style"
    path.write_bytes(b"Calm\n\xff")
    with pytest.raises(UsageError, match="one style per line"):
        StyleSet.from_file(path)
    for text in ("", "Calm\n\nGrim\n", "\nCalm"):
        path.write_text(text)
        with pytest.raises(UsageError):
            StyleSet.from_file(path)
    with pytest.raises(UsageError, match="one style per line"):
        StyleSet.from_file(tmp_path)


def test_the_traits_of_personality_captions(shared):
    tokenizer = OFATokenizer.from_pretrained(shared / "data" / "ofa_bpe")
    path = shared / "data" / "personalities" / "personalities.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    for mode in MODES:
        styles = StyleSet.from_file(path, mode, strict=True)
        styles.prepare(tokenizer)
        assert [styles.index(line.upper()) for line in lines] == list(range(215))
        assert len({styles.text(line.lower()) for line in lines}) == 215
        if mode != "plain":
            assert all(len(tokenizer.encode(styles.text(line))) == 1 for line in lines)
    assert StyleSet.from_file(path).text("no such trait") == "<code_215>"
    assert len(tokenizer) == 59457 + 216

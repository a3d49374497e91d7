"""Words that are typical of a style: against the formula written out, and what it must find."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from ofakit.data import Example
from ofakit.errors import UsageError
from ofakit.text.style_words import captions_by_style, describe, log_odds, style_words, words

CAPTIONS = {
    "humorous": ["a dog runs like a clown", "two dogs dance like a clown", "a clown eats"],
    "romantic": ["a dog runs to its love", "two dogs in love", "love is a dog"],
    "factual": ["a dog runs", "two dogs run", "a dog eats"],
}


def z_score(word: str, style: str, prior_words: float) -> float:
    counts = {name: Counter(w for c in captions for w in words(c)) for name, captions in CAPTIONS.items()}
    total = sum(counts.values(), Counter())
    own, prior = counts[style], {w: prior_words * n / sum(total.values()) for w, n in total.items()}
    others = {w: n - own[w] for w, n in total.items()}
    deltas, variance = [], 0.0
    for body in (own, others):
        y = body[word] + prior[word]
        deltas.append(math.log(y / (sum(body.values()) + prior_words - y)))
        variance += 1 / y
    return (deltas[0] - deltas[1]) / math.sqrt(variance)


@pytest.mark.parametrize("prior_words", [1.0, 20.0, 1000.0])
def test_scores_follow_the_formula(prior_words):
    found = style_words(CAPTIONS, top=None, prior_words=prior_words)
    for style, ranked in found.items():
        assert ranked
        for word, z in ranked:
            assert z == pytest.approx(z_score(word, style, prior_words), rel=1e-9)


def test_the_words_of_a_style_come_first_and_shared_words_do_not():
    found = style_words(CAPTIONS, top=3)
    assert found["humorous"][0][0] == "clown"
    assert found["romantic"][0][0] == "love"
    assert "dog" not in [word for word, _ in found["humorous"]]
    for ranked in found.values():
        assert len(ranked) <= 3
        assert [z for _, z in ranked] == sorted((z for _, z in ranked), reverse=True)
        assert all(z > 0 for _, z in ranked)


def test_rare_words_can_be_left_out_and_words_cut_otherwise():
    found = style_words(CAPTIONS, top=None, min_count=3)
    assert {w for ranked in found.values() for w, _ in ranked} <= {"a", "dog", "dogs", "clown", "love", "runs", "two"}
    whole = style_words(CAPTIONS, top=1, split=lambda caption: [caption])
    assert whole["factual"][0][0] in CAPTIONS["factual"]


def test_a_style_without_captions_has_no_words():
    assert style_words({**CAPTIONS, "empty": []}, top=5)["empty"] == []
    assert style_words({"a": [], "b": []}) == {"a": [], "b": []}


def test_impossible_requests():
    with pytest.raises(UsageError, match="two styles"):
        style_words({"only": ["a"]})
    for wrong in ({"top": 0}, {"prior_words": 0}, {"min_count": 0}):
        with pytest.raises(UsageError, match="positive"):
            style_words(CAPTIONS, **wrong)


def test_weak_words_can_be_left_out():
    found = style_words(CAPTIONS, top=None)
    limit = found["humorous"][1][1]
    strong = style_words(CAPTIONS, top=None, min_score=limit)
    assert strong == {style: [pair for pair in pairs if pair[1] >= limit] for style, pairs in found.items()}
    assert 0 < sum(map(len, strong.values())) < sum(map(len, found.values()))


def test_captions_are_gathered_by_style_and_those_without_one_passed_over():
    examples = [
        Example("1", text="one", references=("one", "other"), style="Calm"),
        Example("2", references=("two", "three"), style=" calm "),
        Example("3", references=("four",)),
    ]
    assert captions_by_style(examples) == {"calm": ["one", "two", "three"]}


def test_words_with_equal_scores_are_in_alphabetical_order():
    found = style_words({"x": ["c b a d"], "y": ["e"]}, top=3)
    assert [word for word, _ in found["x"]] == ["a", "b", "c"]


def test_log_odds_by_hand():
    """Counts 2 of 3 and 0 of 2 with a prior of 1 for each of two words: odds 3 / 2 and 1 / 3."""
    delta = math.log(3 / 2) - math.log(1 / 3)
    found = log_odds(np.array([2.0, 1.0]), np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    assert found.tolist() == pytest.approx([delta / math.sqrt(1 / 3 + 1 / 1), -delta / math.sqrt(1 / 2 + 1 / 3)])


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog's well-earned rest!", ["a", "dog's", "well-earned", "rest"]),
        ("It’s 3:30 -- 'quoted'", ["it’s", "3", "30", "quoted"]),
        ("Ünder_score 汉字 😀", ["ünder_score", "汉字"]),
        ("", []),
    ],
)
def test_words_of_a_caption(caption, expected):
    assert words(caption) == expected


def test_the_table_of_words():
    assert describe({"a": [("dog", 1.234), ("waterfall", 10.0)], "long name": [], "b": [("x", 0.5)]}).splitlines() == [
        "a          dog         1.23",
        "           waterfall  10.00",
        "long name  (none)",
        "b          x           0.50",
    ]
    assert describe({}) == ""

"""The rules: each of them decides a token somewhere, and together they leave no character unread."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from ofakit.scores.ptb import ptb_tokenizer
from ofakit.scores.ptb.automaton import Automaton
from ofakit.scores.ptb.rules import NAMES, RULES

CASES = (Path(__file__).parent / "ptb_cases.jsonl").read_text("utf-8").splitlines()
OWN_STEPS = {"cut2", "cut3", "initial"}


@pytest.fixture(scope="module")
def lexer() -> Automaton:
    return Automaton(RULES, NAMES)


def winners(lexer: Automaton, text: str) -> list[tuple[int, str]]:
    """The rule and the text of each token, what is dropped included."""
    found, place = [], 0
    while place < len(text) - 1:
        number, end, _ = lexer.longest(text, place)
        end = lexer.token_end(number, text, place, end)
        found.append((number, text[place:end]))
        place = end
    return found


def test_no_rule_is_dead(lexer):
    """The cases, which the Java tokenizer answered, have a token of every rule."""
    used = Counter(number for line in CASES for number, _ in winners(lexer, json.loads(line)["text"] + "\n"))
    assert [RULES[number] for number in range(len(RULES)) if not used[number]] == []


def test_every_action_is_one_the_tokenizer_takes():
    assert {rule.action for rule in RULES} == {*ptb_tokenizer._ACTIONS, *OWN_STEPS}


def test_every_character_is_read(lexer):
    characters = [chr(point) for point in (*range(0x300), *range(0x300, 0x10000, 97), 0xD800, 0xDFFF, 0xFFFF, 0x1F600)]
    assert [character for character in characters if lexer.longest(character, 0)[0] is None] == []


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Mr. Fox", ["Mr.", " ", "Fox"]),
        ("it's", ["it", "'s"]),
        ("don't", ["do", "n't"]),
        ("no. 5 no. x", ["no.", " ", "5", " ", "no", ".", " ", "x"]),
        ("a.b@c.org. a.b@c.org,", ["a.b@c.org", ".", " ", "a.b@c.org,"]),
        ("3:30pm", ["3:30", "pm"]),
        ("1,000.5%", ["1,000.5", "%"]),
        ("state-of-the-art", ["state-of-the-art"]),
        ("<b>x</b>", ["<b>", "x", "</b>"]),
        (":-) ok", [":-)", " ", "ok"]),
        ("wait... no!?", ["wait", "...", " ", "no", "!?"]),
        ("13/16 and/or", ["13/16", " ", "and/or"]),
        ("O'Neil's", ["O'Neil", "'s"]),
    ],
)
def test_where_tokens_begin_and_end(lexer, text, tokens):
    assert [token for _, token in winners(lexer, text + "\n")] == tokens


def test_a_bracketed_capital_of_an_abbreviation_counts_in_that_case_only(lexer):
    assert [token for _, token in winners(lexer, "Wash. wash.\n")] == ["Wash.", " ", "wash", "."]

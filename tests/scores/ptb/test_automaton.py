"""The lexer: the longest match, what must follow it, and the expressions it understands."""

from __future__ import annotations

import pytest
from ofakit.scores.ptb.automaton import Automaton, CharacterSet, Rule


def automaton(*rules: Rule) -> Automaton:
    return Automaton(list(rules), {"vowel": CharacterSet(((97, 97), (101, 101)))})


def test_the_longest_match_wins_and_the_first_on_a_tie():
    lexer = automaton(Rule("a", "ab"), Rule("b", "[a-z]+"), Rule("c", "abc"))
    assert lexer.longest("ab ", 0) == (0, 2, False)
    assert lexer.longest("abc ", 0) == (1, 3, False)


def test_what_must_follow_counts_but_is_not_part_of_the_token():
    lexer = automaton(Rule("a", "{vowel}+", "e[0-9]"), Rule("b", "[a-z]+"))
    number, end, _ = lexer.longest("aee7", 0)
    assert (number, end, lexer.token_end(number, "aee7", 0, end)) == (0, 4, 2)


def test_it_says_whether_more_text_could_matter():
    lexer = automaton(Rule("a", "a( b)?"))
    assert lexer.longest("a", 0) == (0, 1, True)
    assert lexer.longest("ac", 0) == (0, 1, False)
    assert lexer.longest("a b", 0) == (0, 3, False)


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        ("a{2}b?", ["aa", "aab"], ["ab"]),
        ("(ab|c)*d", ["d", "ababcd"], ["abd d"]),
        ("[^a-c]", ["d", "-"], ["a", "c"]),
        (r"\[[\]\-]", ["[]", "[-"], ["[a"]),
        ("Q", ["q", "Q"], ["p"]),
    ],
)
def test_expressions(pattern, fits, not_):
    for text in fits:
        assert automaton(Rule("", pattern)).longest(text, 0)[:2] == (0, len(text))
    for text in not_:
        assert automaton(Rule("", pattern)).longest(text, 0)[:2] != (0, len(text))


@pytest.mark.parametrize("pattern", ["(a", "a)"])
def test_unbalanced_expressions_are_refused(pattern):
    with pytest.raises(ValueError, match=r"unbalanced|missing"):
        automaton(Rule("", pattern))


def test_a_rule_that_matches_nothing_leaves_the_place_where_it_is():
    lexer = automaton(Rule("a", "ab+"), Rule("b", "b"))
    assert lexer.longest("xab", 0) == (None, 0, False)
    assert lexer.longest("xabbb", 1) == (0, 5, True)
    assert lexer.longest("a", 0) == (None, 0, True)
    assert lexer.longest("", 0) == (None, 0, True)


def test_every_end_of_a_match_is_known():
    lexer = automaton(Rule("", "ab*|abbc"))
    assert lexer.ends("xabbc", 1, 5) == [2, 3, 4, 5]
    assert lexer.ends("xabbc", 1, 3) == [2, 3]
    assert lexer.ends("xabbc", 0, 5) == []


def test_the_longest_token_is_taken_of_those_that_what_follows_allows():
    lexer = automaton(Rule("a", "a+", "ab|b"))
    number, end, _ = lexer.longest("aaab", 0)
    assert (number, end, lexer.token_end(number, "aaab", 0, end)) == (0, 4, 3)


def test_a_name_stands_for_a_set_or_an_expression():
    names = {"digit": CharacterSet(((48, 57),)), "number": "{digit}+(x{digit})?"}
    lexer = Automaton([Rule("", "#{number}")], names)
    assert [lexer.longest(text, 0)[1] for text in ("#12", "#1x2x", "#x", "12")] == [3, 4, 0, 0]
    with pytest.raises(KeyError, match="letter"):
        Automaton([Rule("", "{letter}")], names)


def test_literals_match_both_cases_of_ascii_only_and_sets_none():
    for pattern, text, fits in (("k", "K", True), ("é", "É", False), ("[k]", "K", False), (r"\+", "+", True)):
        assert (automaton(Rule("", pattern)).longest(text, 0)[0] == 0) == fits, pattern


def test_a_character_set_holds_its_ranges_or_the_rest():
    vowels = CharacterSet(((97, 97), (101, 101), (8364, 8366)))
    assert [character in vowels for character in "abe€f"] == [True, False, True, True, False]
    rest = CharacterSet(vowels.ranges, negated=True)
    assert [character in rest for character in "abe€f"] == [False, True, False, False, True]
    assert all(character in CharacterSet((), negated=True) for character in "a\n\uffff")
    assert hash(vowels) == hash(CharacterSet(vowels.ranges)) and vowels != rest


def test_without_a_rule_there_is_no_automaton():
    with pytest.raises(ValueError, match="at least one rule"):
        Automaton([], {})

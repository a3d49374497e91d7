"""One example a caption; captions that say nothing are left out and counted."""

import pytest
from ofakit.data import BadExamples, Example, drop_empty, expand
from ofakit.data.expansion import is_empty

EXAMPLES = [
    Example("a", "a.jpg", references=("one", "", " .\t"), style="s"),
    Example("b", "b.jpg", references=()),
    Example("c", "c.jpg", text="kept"),
    Example("d", "d.jpg", text=""),
]


def test_expand_gives_one_example_a_caption_and_counts_the_rest():
    bad = BadExamples()
    expanded = expand(EXAMPLES, bad)
    assert [(e.id, e.text, e.style) for e in expanded] == [("a#0", "one", "s"), ("c", "kept", None)]
    assert expanded[0].references == EXAMPLES[0].references
    assert bad.counts == {"empty caption": 4}


def test_drop_empty_keeps_only_what_can_be_scored():
    bad = BadExamples()
    kept = drop_empty(EXAMPLES[:2], bad)
    assert [(e.id, e.references) for e in kept] == [("a", ("one",))]
    assert bad.counts == {"empty reference": 2}


@pytest.mark.parametrize(
    ("caption", "empty"), [("", True), (" \t\n", True), ("...!?", True), ("a", False), ("...no", False), ("。", False)]
)
def test_white_space_and_ascii_punctuation_say_nothing(caption, empty):
    assert is_empty(caption) is empty


def test_what_is_left_out_is_listed_by_its_own_id():
    bad = BadExamples()
    assert expand([Example("a", references=("", "one"))], bad)[0].id == "a#1"
    assert [(row["id"], row["kind"], row["reason"]) for row in bad.rows] == [("a#0", "empty caption", "found ''")]


def test_the_list_is_optional():
    assert [e.text for e in expand(EXAMPLES)] == ["one", "kept"]
    assert [e.id for e in drop_empty(EXAMPLES)] == ["a"]

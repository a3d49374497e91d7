"""One example a caption; captions that say nothing are left out and counted."""

from ofakit.data import BadExamples, Example, drop_empty, expand

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

"""One example a caption; captions that say nothing are left out and counted."""

import pytest
from ofakit.data import BadExamples, Example, drop_empty, expand
from ofakit.data.expansion import is_empty, one_per_image
from ofakit.data.region_texts import RegionText
from PIL import Image

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
    ("caption", "empty"),
    [("", True), (" \t\n", True), ("...!?", True), ("a", False), ("...no", False), ("。…", True), ("好。", False)],
)
def test_white_space_and_punctuation_say_nothing(caption, empty):
    assert is_empty(caption) is empty


def test_what_is_left_out_is_listed_by_its_own_id():
    bad = BadExamples()
    assert expand([Example("a", references=("", "one"))], bad)[0].id == "a#1"
    assert [(row["id"], row["kind"], row["reason"]) for row in bad.rows] == [("a#0", "empty caption", "found ''")]


def test_the_list_is_optional():
    assert [e.text for e in expand(EXAMPLES)] == ["one", "kept"]
    assert [e.id for e in drop_empty(EXAMPLES)] == ["a"]


def test_one_example_an_image_and_style_has_the_references_of_all():
    rows = [
        Example("1", "a.jpg", text="one", references=("one", "two"), style="Calm"),
        Example("2", "b.jpg", text="three", style="calm"),
        Example("3", "a.jpg", references=("two", "four"), style=" calm"),
        Example("4", "a.jpg", text="five", style="wild"),
        Example("5", "a.jpg", references=("six",)),
    ]
    found = [(e.id, e.text, e.references, e.style) for e in one_per_image(rows)]
    assert found == [
        ("1", None, ("one", "two", "four"), "Calm"),
        ("2", None, ("three",), "calm"),
        ("4", None, ("five",), "wild"),
        ("5", None, ("six",), None),
    ]


def test_one_per_image_undoes_expand():
    examples = [Example("a", "a.jpg", references=("one", "two")), Example("b", "b.jpg", references=("one",))]
    assert [e.references for e in one_per_image(expand(examples))] == [e.references for e in examples]
    assert one_per_image(examples) == examples and one_per_image([]) == []


def test_images_in_memory_are_told_apart():
    one, other = Image.new("RGB", (2, 2)), Image.new("RGB", (2, 2), "red")
    rows = [Example("1", one, text="a"), Example("2", other, text="b"), Example("3", one, text="c")]
    assert [e.references for e in one_per_image(rows)] == [("a", "c"), ("b",)]


def test_texts_without_an_image_are_joined_only_by_their_id():
    rows = [Example("1", text="a"), Example("2", text="b"), Example("1", text="c")]
    assert [e.references for e in one_per_image(rows)] == [("a", "c"), ("b",)]


def test_texts_of_regions_stay_with_their_image():
    ball, sky = RegionText("a ball", (0.0, 0.0, 0.5, 0.5)), RegionText("sky", (0.0, 0.0, 1.0, 0.2))
    rows = [Example("1", "a.jpg", references=("one", "two"), region_texts=(ball,)),
            Example("2", "a.jpg", references=("two",), region_texts=(ball, sky))]  # fmt: skip
    assert [e.region_texts for e in expand(rows)] == [(ball,), (ball,), (ball, sky)]
    assert [e.region_texts for e in one_per_image(rows)] == [(ball, sky)]

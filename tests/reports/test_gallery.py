"""The gallery: captions of an image stand together, and what was best and worst."""

import pytest
from ofakit.reports.caption_split import Captioned, CaptionSplit
from ofakit.reports.gallery import extremes, gallery, spread


def obeys(captions, styles):
    return [style in caption for caption, style in zip(captions, styles, strict=True)]


def split_of(items):
    return CaptionSplit("test", items, {}, obeys)


def test_captions_of_one_image_stand_on_one_card_with_references_and_verdicts():
    items = [
        Captioned("1", "a.jpg", "happy", "a happy dog", ("one", "two")),
        Captioned("2", "b.jpg", None, "a cat", ("three",)),
        Captioned("3", "a.jpg", "sad", "a happy dog", ("four",), before_rerank="a cow"),
    ]
    body = gallery(split_of(items), 60).body
    first, second = body.split("<article")[1:]
    assert first.count('class="entry"') == 2 and second.count('class="entry"') == 1
    for text in (
        "in style",
        "not in style: recognised as happy",
        "before reranking: <bdi>a cow",
        "a.jpg</bdi>: <bdi>no such",
    ):
        assert text in first
    for text in ("one", "two", "four"):
        assert f"<bdi>{text}</bdi>" in first
    assert "2 of 2 images" in body and '<option value="style-1">sad</option>' in body


def test_images_that_are_none_have_a_card_each():
    assert gallery(split_of([Captioned(str(n), None, None, "x", ()) for n in range(3)]), 60).body.count("<article") == 3
    assert gallery(split_of([]), 60) is None


def test_references_and_captions_of_an_image_are_bounded():
    body = gallery(split_of([Captioned(str(n), "a", None, "x", tuple("abcdefg")) for n in range(30)]), 60).body
    assert "and 2 more<" in body and "and 6 more captions of this image" in body


def test_best_and_worst():
    texts = ["a red dog runs", "a red dog", "nothing here"]
    items = [Captioned(str(n), None, None, text, ("a red dog runs", f"some {n}")) for n, text in enumerate(texts)]
    others = [Captioned(f"o{n}", None, None, f"word{n}", (f"word{n} b{n} c{n} d{n}",)) for n in range(3)]
    split = split_of([*items, *others])
    best, worst = extremes(split, 2).body.split("<h3>")[1:]
    top = split.items[int(split.cider.argmax())].caption
    assert f">{top}<" in best.split("<article")[1] and ">nothing here<" in worst.split("<article")[1]
    assert extremes(split_of([Captioned("1", None, None, "x", ())]), 2) is None
    assert extremes(split_of(items[:1]), 8).body.count("<article") == 1, "no caption is both best and worst"


@pytest.mark.parametrize(
    ("items", "most", "shown"),
    [(3, 60, [0, 1, 2]), (10, 5, [0, 2, 4, 6, 8]), (7, 3, [0, 2, 4]), (4, 1, [0]), (0, 5, [])],
)
def test_places_are_spread_evenly(items, most, shown):
    assert spread(items, most) == shown

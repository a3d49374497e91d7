"""The matrix counts what is heard of what was asked for."""

import pytest
from ofakit.reports.caption_split import Captioned, CaptionSplit
from ofakit.reports.style_matrix import style_matrix, style_section


def obeys(captions, styles):
    return [style in caption for caption, style in zip(captions, styles, strict=True)]


def split_of(pairs, judge=obeys):
    return CaptionSplit(
        "", [Captioned(str(n), None, style, text, ()) for n, (style, text) in enumerate(pairs)], {}, judge
    )


def test_the_counts():
    pairs = [("happy", "happy"), ("happy", "sad"), ("happy", "happy and sad"), ("sad", "nothing"), (None, "sad")]
    found = style_matrix(split_of(pairs))
    assert found == (["happy", "sad"], [[2, 2], [0, 0]], [0, 1], [3, 1], 1)


@pytest.mark.parametrize(("right", "kind"), [(10, "good"), (6, "fair"), (1, "poor")])
def test_the_verdict(right, kind):
    pairs = [("happy", "happy" if n < right else "sad") for n in range(10)] + [("sad", "sad")]
    assert f'verdict {kind}">{right} of 10 in style' in style_section(split_of(pairs)).body


@pytest.mark.parametrize("split", [split_of([("happy", "x")]), split_of([("a", "x"), ("b", "y")], None), split_of([])])
def test_no_matrix_where_there_is_nothing_to_tell_apart(split):
    assert style_matrix(split) is None and style_section(split) is None

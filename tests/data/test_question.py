"""A question is an example, whose images and groups are used alike."""

from __future__ import annotations

from ofakit.data.fingerprint import examples_fingerprint
from ofakit.data.question import Question


def test_it_is_told_apart_by_what_is_asked():
    one, other = (Question("1", "a.jpg", references=("yes",), question=text) for text in ("is it?", "are they?"))
    assert one != other and one.image_paths == ("a.jpg",)
    assert examples_fingerprint([one]) != examples_fingerprint([other])

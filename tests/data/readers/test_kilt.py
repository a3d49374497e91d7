"""Answers and provenance as KILT and ViQuAE have them."""

from __future__ import annotations

import pytest
from ofakit.data.readers._kilt import answers_in, provenance_in
from ofakit.errors import UsageError


def test_both_layouts_say_the_same():
    viquae = {"original_answer": "b", "answer": ["a", "b"], "provenance": [{"title": ["T"]}, {"title": ["U", "V"]}]}
    kilt = [{"answer": "b", "provenance": [{"title": "T"}]}, {"answer": "a", "provenance": [{"title": "U"}]}, {}]
    for output in (viquae, kilt):
        assert answers_in({"output": output}, "f") == ("b", "a")
        assert provenance_in({"output": output}) == ["T", "U"]


@pytest.mark.parametrize("output", [None, [], {}, [{"provenance": None, "answer": None}], {"provenance": [{}]}])
def test_nothing_is_known(output):
    assert answers_in({"output": output}, "f") == () and provenance_in({"output": output}) == []


def test_an_answer_that_is_no_text():
    with pytest.raises(UsageError, match="expected answers as text in f"):
        answers_in({"output": {"answer": [3]}}, "f")

"""Whether an item has any of what a vector is of."""

from __future__ import annotations

import pytest
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.retrieval.item_content import has_content


@pytest.mark.parametrize(
    ("item", "text", "image"),
    [
        (Passage("1", "a dog"), True, False),
        (Passage("1", None, title="Dogs"), True, False),
        (Passage("1", " \n", title=" "), False, False),
        (Passage("1", " ", image="a.png"), False, True),
        (Query("1", "what?"), True, False),
        (Query("1", "", image="a.png"), False, True),
        (Query("1"), False, False),
    ],
)
def test_what_there_is(item, text, image):
    assert (has_content(item, ["text"]), has_content(item, ["image"])) == (text, image)
    assert has_content(item, ["text", "image"]) == (text or image)

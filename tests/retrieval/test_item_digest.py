"""Whether a passage or query is what it was."""

from __future__ import annotations

import os

import numpy as np
import pytest
from ofakit.data.passage import Passage
from ofakit.data.query import Query
from ofakit.retrieval.item_digest import item_digest
from PIL import Image


@pytest.mark.parametrize(
    "other",
    [Passage("b", "x"), Passage("a", "y"), Passage("a"), Passage("a", "x", title="x"), Passage("a", "x", image=b"1")],
)
def test_it_changes_with_what_is_encoded(other):
    assert item_digest(Passage("a", "x")) != item_digest(other)


def test_what_is_not_encoded_does_not_count():
    assert item_digest(Passage("a", "x", article="b")) == item_digest(Passage("a", "x"))
    assert item_digest(Query("a", "x", relevant={"p": 1.0})) == item_digest(Query("a", "x"))


def test_an_image_counts_by_its_content_or_its_file(tmp_path):
    pixels = np.zeros((2, 2, 3), np.uint8)
    for image, changed in [(pixels, pixels + 1), (Image.fromarray(pixels), Image.fromarray(pixels + 1)), (b"1", b"2")]:
        assert item_digest(Passage("a", image=image)) != item_digest(Passage("a", image=changed))
    path = tmp_path / "a.png"
    absent = item_digest(Passage("a", image=path))
    path.write_bytes(b"1")
    present = item_digest(Passage("a", image=path))
    assert present == item_digest(Passage("a", image=str(path))) != absent
    os.utime(path, ns=(5, 5))
    assert item_digest(Passage("a", image=path)) != present

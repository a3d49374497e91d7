"""Images are told apart by what they hold, and files by their path."""

from pathlib import Path

import numpy as np
import pytest
from ofakit.data.image_keys import image_key
from PIL import Image


def test_files_are_known_by_their_path():
    assert image_key("a/b.jpg") == image_key(Path("a/b.jpg")) == "a/b.jpg"
    assert image_key(None) == ""


@pytest.mark.parametrize("make", [lambda c: bytes([c]) * 12, lambda c: Image.new("RGB", (2, 2), (c, 0, 0)),
                                  lambda c: np.full((2, 2), c, np.uint8)])  # fmt: skip
def test_what_is_held_counts_and_not_the_object(make):
    assert image_key(make(1)) == image_key(make(1)) != image_key(make(2))


def test_the_shape_of_pixels_counts():
    assert image_key(np.zeros((2, 8), np.uint8)) != image_key(np.zeros((4, 4), np.uint8))


def test_a_broken_image_is_itself(tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    with Image.open(tmp_path / "cut.png") as one, Image.open(tmp_path / "cut.png") as other:
        assert image_key(one) != image_key(other)

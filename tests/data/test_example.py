"""An example knows where its image lies, and what tells it from the images of others."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ofakit.data import Example
from PIL import Image


@pytest.mark.parametrize(
    ("image", "path"),
    [("a/b.jpg", "a/b.jpg"), (Path("a/b.jpg"), "a/b.jpg"), (b"\x89PNG", None), (None, None),
     (Image.new("L", (2, 2)), None), (np.zeros((2, 2), np.uint8), None)],
)  # fmt: skip
def test_only_an_image_on_disk_has_a_path(image, path):
    example = Example("x", image)
    assert example.image_path == path
    assert path is None or example.image_key == path


def test_two_images_in_memory_are_two_and_one_that_is_decoded_twice_is_one():
    one, again, other = Image.new("L", (2, 2)), Image.new("L", (2, 2)), Image.new("L", (2, 2), 9)
    assert Example("a", one).image_key == Example("b", again).image_key != Example("a", other).image_key


def test_an_example_is_never_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example("x").text = "a dog"

"""The page of captions: what it shows, that nothing on it is markup by accident, and that no image can spoil it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.reports.gallery import SIDE, gallery
from PIL import Image


@dataclass(frozen=True)
class Written:
    """A prediction, frozen as that of the trainer is."""

    image: Any
    caption: str = "a dog"
    style: str | None = None
    references: tuple[str, ...] = ()


class Outline(HTMLParser):
    """The texts of a page by the class or tag they stand in, and its images."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.names: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "img":
            self.images.append(given)
        if tag not in ("meta", "img"):
            self.open.append(tag)
            self.names.append(given.get("class") or tag)
            self.texts.setdefault(self.names[-1], []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.names.pop()

    def handle_data(self, data):
        if self.names:
            self.texts[self.names[-1]][-1] += data


def pixels(image: dict[str, str | None]) -> Image.Image:
    """An image of a page."""
    kind, _, content = image["src"].partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


@pytest.fixture
def red(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (400, 100), "red").save(path)
    return str(path)


def test_captions_of_one_image_stand_together_with_what_people_wrote(red):
    predictions = [
        Written(red, "a happy dog", "happy", ("one", "two")),
        Written("elsewhere/missing.jpg", "a cat", None, ("three",)),
        Written(red, "a sad dog", "gloomy", ("four",)),
    ]
    found = Outline(gallery("my run: test", {}, predictions))
    assert found.open == []
    assert found.texts["title"] == found.texts["h1"] == ["my run: test"]
    assert found.texts["caption"] == ["a happy dog", "a sad dog", "a cat"]
    assert found.texts["style"][-3:] == ["happy", "gloomy", ""]
    assert found.texts["li"] == ["one", "two", "four", "three"]
    assert found.texts["p"] == ["2 of 2 images"]
    assert len(found.texts["article"]) == 2


def test_the_image_is_inside_the_page_and_small(red):
    (image,) = Outline(gallery("t", {}, [Written(red)])).images
    assert image["alt"] == "red.png"
    shown = pixels(image)
    assert shown.size == (SIDE, SIDE // 4)
    red_part, green, blue = shown.getpixel((SIDE // 2, SIDE // 8))
    assert red_part > 240 and green < 15 and blue < 15


def test_an_image_that_lies_on_its_side_is_turned_upright(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 100), "blue").save(path, exif=exif)
    (image,) = Outline(gallery("t", {}, [Written(str(path))])).images
    assert pixels(image).size == (SIDE // 4, SIDE)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_images_of_every_mode_are_shown(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.new(mode, (20, 10)).save(path)
    (image,) = Outline(gallery("t", {}, [Written(str(path))])).images
    assert pixels(image).size == (20, 10)


@pytest.mark.parametrize("content", [None, b"", b"no image", "truncated", "bomb"])
def test_an_image_that_cannot_be_read_is_named(tmp_path, monkeypatch, red, content):
    path = tmp_path / "<bad> & worse.png"
    if content == "truncated":
        Image.effect_noise((300, 300), 50).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "bomb":
        Image.new("RGB", (50, 50)).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    elif content is not None:
        path.write_bytes(content)
    found = Outline(gallery("t", {}, [Written(str(path))]))
    assert found.images == []
    assert "<bad> & worse.png" in found.texts["div"]


@pytest.mark.parametrize("image", [None, "", "\0.png", "."])
def test_what_is_no_file_shows_its_captions_all_the_same(image):
    found = Outline(gallery("t", {}, [Written(image, "a dog"), Written(image, "a cat")]))
    assert found.images == [] and found.texts["caption"] == ["a dog", "a cat"]
    assert found.texts["p"] == ["1 of 1 images"]


def test_nothing_becomes_markup():
    odd = "<b>&amp;\"'{x}{}<article>"
    found = Outline(gallery(odd, {odd: 1.0}, [Written(f"folder/{odd}", odd, odd, (odd,))]))
    for name in ("title", "h1", "th", "caption", "style", "li"):
        assert found.texts[name][-1] == odd, name
    assert odd in found.texts["div"], "of a path only the name is shown"
    assert "b" not in found.texts and len(found.texts["article"]) == 1


def test_a_lone_surrogate_does_not_keep_the_page_from_being_saved():
    page = gallery("t", {}, [Written(None, "a \ud83d dog", "\udc00", ("\ud800",))])
    assert "a ? dog" in page.encode("utf-8").decode("utf-8")


def test_numbers_of_the_whole_split_are_shown_with_four_digits():
    scores = {"cider": 1.23456, "captions": 12, "cider/happy": 9.0, "by": {"x": 1}, "name": "run", "none": None}
    found = Outline(gallery("t", scores, []))
    assert (found.texts["th"], found.texts["td"]) == (["cider", "captions"], ["1.235", "12"])
    assert found.texts["p"] == ["0 of 0 images"]


@pytest.mark.parametrize(
    ("images", "most", "shown"),
    [(3, 60, [0, 1, 2]), (10, 5, [0, 2, 4, 6, 8]), (7, 3, [0, 2, 4]), (5, 4, [0, 1, 2, 3]), (4, 1, [0])],
)
def test_images_are_spread_evenly_over_the_predictions(images, most, shown):
    predictions = [Written(f"{number}.jpg", f"caption {number}") for number in range(images)]
    found = Outline(gallery("t", {}, predictions, most))
    assert found.texts["caption"] == [f"caption {number}" for number in shown]
    assert found.texts["p"] == [f"{len(shown)} of {images} images"]


def test_at_most_five_references_are_shown():
    found = Outline(gallery("t", {}, [Written(None, references=tuple("abcdefg"))]))
    assert found.texts["li"] == list("abcde")


@pytest.mark.parametrize("most", [0, -1])
def test_a_page_of_no_images_is_refused(most):
    with pytest.raises(UsageError, match="1 image or more, found most="):
        gallery("t", {}, [], most)


def test_it_needs_no_script_and_no_other_file(red):
    page = gallery("t", {"cider": 1.0}, [Written(red)])
    assert page.startswith("<!doctype html>")
    assert "<script" not in page and "http" not in page and not re.search(r'(?:src|href)="(?!data:)', page)


@pytest.mark.parametrize("make", [lambda image: image, np.asarray])
def test_images_in_memory_are_shown_and_told_apart(make):
    drawn = [make(Image.new("RGB", (20, 10), colour)) for colour in ("red", "blue", "red")]
    found = Outline(gallery("t", {}, [Written(image, f"a {k}") for k, image in enumerate(drawn)]))
    assert found.texts["caption"] == ["a 0", "a 2", "a 1"]
    assert [pixels(image).getpixel((0, 0))[2] > 200 for image in found.images] == [False, True]


def test_what_is_transparent_is_shown_on_white(tmp_path):
    Image.new("RGBA", (20, 10), (9, 9, 9, 0)).save(tmp_path / "a.png")
    (image,) = Outline(gallery("t", {}, [Written(str(tmp_path / "a.png"))])).images
    assert pixels(image).getpixel((3, 3)) == (255, 255, 255)

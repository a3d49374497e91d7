"""Examples of one id, image and style are one; those of several styles or images stay apart, and say so."""

import io
import logging

import numpy as np
import pytest
from ofakit.data import Example
from ofakit.data.identity import merge, with_own_ids
from ofakit.data.region_texts import RegionText
from PIL import Image


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_styles_of_one_id_stay_apart():
    rows = [("happy", "lovely"), ("gloomy", "sad"), ("Happy", "nice"), (None, "plain")]
    found = merge(Example("0", "red.jpg", None, (text,), style) for style, text in rows)
    assert [(e.id, e.style, e.references) for e in found] == [
        ("0#happy", "happy", ("lovely", "nice")),
        ("0#gloomy", "gloomy", ("sad",)),
        ("0", None, ("plain",)),
    ]


def test_images_of_one_id_stay_apart_and_are_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        found = merge(Example("7", image, None, (image,)) for image in ("red.jpg", "blue.jpg", "red.jpg"))
    assert [(e.id, e.references) for e in found] == [("7", ("red.jpg", "red.jpg")), ("7#2", ("blue.jpg",))]
    assert "1 ids each name several images" in caplog.text and "'7' (red.jpg, blue.jpg)" in caplog.text


def test_an_id_of_its_own_is_left_alone(caplog):
    examples = [Example("a.jpg#dry", "a.jpg", style="dry"), Example("a.jpg#odd", "a.jpg", style="odd"), Example("b")]
    assert merge(examples) == examples
    assert merge(examples)[0] is examples[0] and not caplog.text


@pytest.mark.parametrize("make", [png, lambda c: Image.new("RGB", (4, 4), c),
                                  lambda c: np.asarray(Image.new("RGB", (4, 4), c))])  # fmt: skip
def test_images_in_memory_are_told_apart_by_what_they_hold(make):
    rows = [("red", "one"), ("blue", "two"), ("red", "three")]
    found = merge(Example("0", make(colour), text, (text,)) for colour, text in rows)
    assert [(e.id, e.references) for e in found] == [("0", ("one", "three")), ("0#2", ("two",))]


def test_a_broken_image_in_memory_breaks_nothing(tmp_path):
    (tmp_path / "cut.png").write_bytes(png("red")[:-20])
    images = [Image.open(tmp_path / "cut.png"), Image.open(tmp_path / "cut.png")]
    assert [e.id for e in merge(Example("0", image, "a", ("a",)) for image in images)] == ["0", "0#2"]


def test_a_text_that_is_no_reference_stays_with_its_references():
    rows = [Example("0", "a.jpg", "one", ("x",)), Example("0", "a.jpg", "two", ("x",))]
    assert [(e.id, e.text, e.references) for e in merge(rows)] == [("0", "one", ("x",)), ("0#2", "two", ("x",))]


def test_no_two_examples_share_an_id():
    rows = [Example("0#dry"), Example("0", style="dry"), Example("0", style="odd"), Example("0#2"), Example("0", "b")]
    found = with_own_ids(rows)
    assert len({e.id for e in found}) == len(rows)
    assert [e.style for e in found] == [e.style for e in rows]


def test_texts_of_regions_are_joined_too():
    ball, sky = RegionText("a ball", region=1), RegionText("sky", region=2)
    rows = [Example("0", "a.jpg", references=("x",), region_texts=(ball,)),
            Example("0", "a.jpg", references=("y",), region_texts=(sky, ball))]  # fmt: skip
    assert [e.region_texts for e in merge(rows)] == [(ball, sky)]

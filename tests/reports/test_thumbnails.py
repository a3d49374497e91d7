"""Images of every kind become small JPEGs, and those that cannot be read say why."""

import base64
import io
import os

import numpy as np
import pytest
from ofakit.reports.thumbnails import SIDE, picture
from PIL import Image


def pixels(found):
    kind, _, content = found.source.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


def test_a_large_image_is_made_small_and_named(tmp_path):
    Image.new("RGB", (800, 200), "red").save(tmp_path / "red.png")
    found = picture(tmp_path / "red.png")
    assert found.name == "red.png" and pixels(found).size == (SIDE, SIDE // 4)
    red, green, blue = pixels(found).getpixel((9, 9))
    assert red > 240 and green < 15 and blue < 15


def test_an_image_that_lies_on_its_side_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 100), "blue").save(tmp_path / "turned.jpg", exif=exif)
    assert pixels(picture(str(tmp_path / "turned.jpg"))).size == (SIDE // 4, SIDE)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_images_of_every_mode(tmp_path, mode):
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.new(mode, (20, 10)).save(path)
    assert pixels(picture(path)).size == (20, 10)


@pytest.mark.parametrize("make", [lambda image: image, np.asarray])
def test_images_in_memory(make):
    found = picture(make(Image.new("RGB", (20, 10), "red")))
    assert found.name == "" and pixels(found).size == (20, 10)


@pytest.mark.parametrize("content", [b"", b"no image", "truncated", "bomb"])
def test_what_cannot_be_read_is_named_with_the_reason(tmp_path, monkeypatch, content):
    path = tmp_path / "<bad> & worse.png"
    if content == "truncated":
        Image.effect_noise((300, 300), 50).save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif content == "bomb":
        Image.new("RGB", (50, 50)).save(path)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    else:
        path.write_bytes(content)
    found = picture(path)
    assert (found.name, found.source) == ("<bad> & worse.png", None) and found.reason


@pytest.mark.parametrize("image", ["\0.png", ".", "x" * 5000, "/dev/zero"])
def test_what_is_no_file_is_not_opened(image):
    assert picture(image).source is None


def test_a_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert picture(tmp_path / "pipe.png").reason == "no such file"

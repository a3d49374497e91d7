"""Uploads become squares of pixels, or are refused in one line."""

from __future__ import annotations

import asyncio
import io
import struct
import zlib

import numpy as np
import pytest
from ofakit.data.decoding import load_square
from ofakit.errors import UsageError
from ofakit.serving.limits import Limits
from ofakit.serving.uploads import UploadDecoder, square_of_upload
from PIL import Image


def encoded(kind="PNG", size=(40, 30)):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def huge_png(side):
    """A few bytes that claim to be a large image."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pixels_are_those_of_a_file(kind):
    content = encoded(kind)
    np.testing.assert_array_equal(square_of_upload(content, 16, 1200), load_square(content, 16))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found another format"),
        (b"<script>alert(1)</script>", "found another format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "found another format"),
        (encoded("PPM"), "found another format"),
        (encoded()[:60], "cannot be read"),
        (encoded("JPEG")[:200], "cannot be read|none of them"),
        (encoded(size=(40, 31)), "at most 1200 pixels, found 40 x 31"),
        (huge_png(9000), "at most 1200 pixels, found 9000 x 9000"),
        (huge_png(60000), "at most 1200 pixels, found far more"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_is_no_image_to_take_is_refused(content, words):
    with pytest.raises(UsageError, match=words) as refused:
        square_of_upload(content, 16, 1200)
    assert "\n" not in str(refused.value)


def test_files_are_decoded_in_their_order_and_one_that_is_broken_is_refused():
    decoder = UploadDecoder(Limits(pixels=1200, decoders=2))
    contents = [encoded("PNG"), encoded("JPEG")]
    found = asyncio.run(decoder.squares([io.BytesIO(content) for content in contents], 16))
    for square, content in zip(found, contents, strict=True):
        np.testing.assert_array_equal(square, load_square(content, 16))
    with pytest.raises(UsageError, match="found 40 x 31"):
        asyncio.run(decoder.squares([io.BytesIO(encoded(size=(40, 31)))], 16))

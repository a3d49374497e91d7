"""The orientation is found among tags of any kind, and what is broken turns nothing."""

import struct

import pytest
from ofakit.data.orientation import upright
from PIL import Image

SIZE = (6, 4)


def exif(*entries, order="<", directory=8, count=None):
    packed = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    many = len(entries) if count is None else count
    return b"Exif\0\0" + mark + struct.pack(f"{order}I", directory) + struct.pack(f"{order}H", many) + packed + bytes(4)


def opened(content):
    image = Image.new("L", SIZE)
    image.putdata(range(SIZE[0] * SIZE[1]))
    image.info["exif"] = content
    return image


@pytest.mark.parametrize(("turn", "corner"), [(1, 0), (2, 5), (3, 23), (4, 18), (5, 0), (6, 18), (7, 23), (8, 5)])
def test_every_orientation_is_as_exif_says(turn, corner):
    turned = upright(opened(exif((0x0112, 4, 1, turn))))
    assert turned.getpixel((0, 0)) == corner
    assert turned.size == (SIZE if turn < 5 else SIZE[::-1])


def test_the_order_of_bytes_and_tags_of_odd_types_do_not_matter():
    big = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    odd = exif((0x0112, 4, 1, 6), (0xA005, 3, 1, 26), (0x011A, 2, 3, 9), (0x0140, 4, 1, 3))
    assert upright(opened(big)).size == upright(opened(odd)).size == SIZE[::-1]


@pytest.mark.parametrize(
    "content",
    [b"Exif\0\0", b"Exif\0\0no TIFF", b"x", exif((0x0112, 4, 1, 6), count=40), exif(directory=2**31 - 1),
     exif((0x0112, 2, 8, 26)), exif((0x0112, 3, 0, 6)), exif((0x0112, 3, 1, 99)), exif((0x0110, 2, 1, 6))],
)  # fmt: skip
def test_what_is_broken_or_unknown_turns_nothing(content):
    image = opened(content)
    assert upright(image) is image


def test_a_tiff_file_is_turned_once(tmp_path):
    Image.new("RGB", SIZE).save(tmp_path / "a.tif", tiffinfo={0x0112: 6})
    with Image.open(tmp_path / "a.tif") as image:
        assert upright(image).size == SIZE[::-1]

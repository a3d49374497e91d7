"""How an image must be turned to stand upright, told from metadata that may be broken.

Only what EXIF says of the orientation is read, so that nothing else in it can spoil a sound image. A directory that is
cut off, an orientation of the wrong type and one that there is not count as none.

Source: the tag 0x0112 of TIFF 6.0 and EXIF 2.3.
"""

from __future__ import annotations

import struct

from PIL import Image

__all__ = ["upright"]

ORIENTATION = 0x0112
VALUES = {3: "H", 4: "I"}
"""How a short and a long number are packed."""
HEADER, ENTRY = b"Exif\0\0", 12
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image: Image.Image) -> Image.Image:
    """An image as its metadata says that it is to be seen.

    Args:
        image: As it was opened; it is loaded.

    Returns:
        The image turned; the same object where nothing is to be done.
    """
    image.load()  # some formats hold metadata behind the pixels, and TIFF is turned as it is loaded
    content = image.info.get("exif")
    orientation = _in_exif(content) if isinstance(content, bytes) and content else None
    if orientation is None:
        orientation = _in_other_metadata(image)
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _in_exif(content: bytes) -> int | None:
    """The orientation in a block of EXIF, 1 where the block is broken; None if it is sound and has none."""
    content = content.removeprefix(HEADER)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(content[:4])
    if order is None or len(content) < 8:
        return 1
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    if start + 2 > len(content):
        return 1
    (entries,) = struct.unpack_from(f"{order}H", content, start)
    first = start + 2
    if first + entries * ENTRY > len(content):
        return 1
    for place in range(first, first + entries * ENTRY, ENTRY):
        tag, kind, count = struct.unpack_from(f"{order}HHI", content, place)
        if tag == ORIENTATION:
            if count != 1 or kind not in VALUES:
                return 1
            return int(struct.unpack_from(order + VALUES[kind], content, place + 8)[0])
    return None


def _in_other_metadata(image: Image.Image) -> int | None:
    """The orientation in XMP, or in the tags of a TIFF file, as Pillow finds it; None if there is none."""
    try:
        found = image.getexif().get(ORIENTATION)
    except Exception:  # broken metadata can raise nearly anything, and says nothing of the image
        return None
    return found if isinstance(found, int) else None

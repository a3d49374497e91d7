"""An uploaded image → a square of pixels; formats whose decoders start other programs are refused."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO

import anyio.to_thread
import numpy as np

from ofakit.data.decoding import BadImage, load_square
from ofakit.errors import UsageError
from ofakit.serving.limits import Limits

__all__ = ["FORMATS", "UploadDecoder", "square_of_upload"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


class UploadDecoder:
    """Decodes uploads beside the event loop, a few at a time.

    Args:
        limits: How many at a time, and how many pixels an image may have.
    """

    def __init__(self, limits: Limits) -> None:
        self.pixels = limits.pixels
        self.places = anyio.CapacityLimiter(limits.decoders)

    async def squares(self, uploads: Sequence[BinaryIO], size: int) -> list[np.ndarray]:
        """The pixels of uploads.

        Args:
            uploads: Open files, which are read to their end.
            size: Pixels a side of a square.

        Returns:
            (size, size, 3) uint8 of each.

        Raises:
            UsageError: One is not an image of a known format, too large, or broken.
        """

        def square(upload: BinaryIO) -> np.ndarray:
            return square_of_upload(upload.read(), size, self.pixels)

        return [await anyio.to_thread.run_sync(square, upload, limiter=self.places) for upload in uploads]


def square_of_upload(content: bytes, size: int, pixels: int) -> np.ndarray:
    """Decode an upload; how large the image is, is looked at before it is decoded.

    Args:
        content: The bytes of the image.
        size: Pixels a side of the square.
        pixels: Width times height of the upload, at most.

    Returns:
        (size, size, 3) uint8.

    Raises:
        UsageError: It is not an image of a known format, too large, or broken.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=[name for name in FORMATS if _is_known(name)]) as opened:
            width, height = opened.size
    except UnidentifiedImageError:
        raise UsageError(f"image: expected one of {', '.join(FORMATS)}, found another format") from None
    except Image.DecompressionBombError:
        raise UsageError(f"image: expected at most {pixels} pixels, found far more") from None
    except Exception as error:  # a broken file can raise nearly anything inside a decoder
        raise UsageError(f"image: cannot be read: {error or type(error).__name__}") from error
    if width * height > pixels:
        raise UsageError(f"image: expected at most {pixels} pixels, found {width} x {height}; send a smaller image")
    try:
        return load_square(content, size)
    except BadImage as error:
        raise UsageError(f"image: cannot be read: {error.reason}") from error


def _is_known(name: str) -> bool:
    """Whether this Pillow reads a format."""
    from PIL import Image

    Image.init()
    return name in Image.OPEN

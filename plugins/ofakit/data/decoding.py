"""Decode an image of any kind into a square of RGB pixels, as OFA does; what cannot be decoded says why."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ofakit.errors import OfakitError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["BadImage", "load_rgb", "load_square"]

GROUND = (255, 255, 255)
"""What transparent images are laid on: white, as pages and viewers show them."""
PNG = b"\x89PNG\r\n\x1a\n"
METADATA = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"tIME")


class BadImage(OfakitError):
    """An image that is missing or cannot be read.

    Args:
        path: Which one.
        reason: Why.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def load_square(image: str | Path | bytes | Image.Image | np.ndarray, size: int, draft: bool = False) -> np.ndarray:
    """Decode an image and resize it to a square, as OFA does: RGB first, then Pillow's bicubic filter.

    Args:
        image: A path, the bytes of an encoded image, a PIL image, or (H, W) or (H, W, 3 or 4) uint8.
        size: Pixels per side.
        draft: Let the JPEG decoder shrink large images by 2, 4 or 8 while it decodes: faster, and the
            pixels differ slightly.

    Returns:
        (size, size, 3) uint8.

    Raises:
        BadImage: It is missing, cannot be read, or is none of these.
    """
    from PIL import Image

    rgb = load_rgb(image, 2 * size if draft else None)
    return np.asarray(rgb.resize((size, size), Image.Resampling.BICUBIC))


def load_rgb(image: str | Path | bytes | Image.Image | np.ndarray, draft: int | None = None) -> Image.Image:
    """Decode an image into 8-bit RGB.

    Files and bytes are turned upright by their orientation; a PIL image or array is taken as it is. What is transparent
    is laid on white, 16-bit grey becomes 8-bit, and of several frames the first is taken. Metadata that is broken
    leaves the image as it is.

    Args:
        image: A path, the bytes of an encoded image, a PIL image, or (H, W) or (H, W, 3 or 4) uint8.
        draft: Let the JPEG decoder shrink the image by 2, 4 or 8, to no fewer pixels a side than this.

    Raises:
        BadImage: It is missing, cannot be read, or is none of these.
    """
    from PIL import Image

    name = str(image) if isinstance(image, str | Path) else f"<{type(image).__name__}>"
    _check_kind(image, name)
    try:
        if isinstance(image, Image.Image | np.ndarray):
            return _to_rgb(Image.fromarray(image) if isinstance(image, np.ndarray) else image)
        try:
            return _decoded(io.BytesIO(image) if isinstance(image, bytes) else image, draft)
        except ValueError:
            bare = _without_metadata(image if isinstance(image, bytes) else Path(image).read_bytes())
            if bare is None:
                raise
            return _decoded(io.BytesIO(bare), draft)
    except MemoryError:
        raise
    except FileNotFoundError as error:
        address = name.startswith(("http://", "https://"))
        raise BadImage(name, "URLs are not downloaded" if address else "no such file") from error
    except Exception as error:  # a broken file can raise nearly anything inside a decoder
        raise BadImage(name, str(error) or type(error).__name__) from error


def _decoded(source: Any, draft: int | None) -> Image.Image:
    """The image in a file, upright."""
    from PIL import Image

    from ofakit.data.orientation import upright

    with Image.open(source) as opened:
        if draft is not None:
            opened.draft("RGB", (draft, draft))
        return _to_rgb(upright(opened))


def _without_metadata(content: bytes) -> bytes | None:
    """A PNG without texts, profiles and dates; None if the content is not a PNG or has none of these."""
    if not content.startswith(PNG):
        return None
    kept, place = [PNG], len(PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind not in METADATA:
            kept.append(content[place : place + length + 12])
        place += length + 12
    bare = b"".join(kept)
    return bare if len(bare) < len(content) else None


def _check_kind(image: Any, name: str) -> None:
    """Refuse what is not an image: a wrong argument must not look like a broken file."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        colours = image.shape[2:] if image.ndim == 3 else ()
        if image.dtype == np.uint8 and image.ndim in (2, 3) and colours in ((), (3,), (4,)):
            return
        found = f"{image.dtype} of shape {image.shape}"
    elif isinstance(image, str | Path | bytes | Image.Image):
        return
    else:
        found = f"{str(image)[:60]!r}"
    raise BadImage(
        name, f"expected a path, bytes, a PIL image, or (H, W) or (H, W, 3 or 4) uint8 as an array, found {found}"
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB. Pillow by itself clips deeper greys at 255, which turns them white."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("expected 8 or 16 bits per pixel, found floating-point numbers, whose white level is unknown")
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"expected grey of 8 or 16 bits, found values from {grey.min()} to {grey.max()}")
        deep = image.mode != "I" or grey.max() > 255
        image = Image.fromarray(((grey + 128) // 257 if deep else grey).astype(np.uint8))
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", shown.size, GROUND), shown).convert("RGB")
    return image.convert("RGB")

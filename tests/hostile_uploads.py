"""Files that are no images, half of one, or more than one: what a server must refuse in a line, or take as an image."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def hostile_uploads(number: int, seed: int = 0) -> list[bytes]:
    """So many contents of files, the same for a seed: each of the kinds below in turn, with other numbers in it."""
    random = np.random.default_rng(seed)
    kinds = [*PLAIN, *MADE]
    return [kinds[n % len(kinds)](random) for n in range(number)]


def encoded(random, form="PNG", mode="RGB", size=(40, 30), **settings) -> bytes:
    """A small image that is as it should be."""
    file = io.BytesIO()
    pixels = random.integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, form, **settings)
    return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *chunks, depth=8, colour=2) -> bytes:
    """A PNG of chunks, whatever they hold."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def cut(random) -> bytes:
    """A part of an image."""
    content = encoded(random, FORMATS[random.integers(len(FORMATS))])
    return content[: random.integers(1, len(content))]


def damaged(random) -> bytes:
    """An image with some bytes changed."""
    content = bytearray(encoded(random, FORMATS[random.integers(len(FORMATS))]))
    for place in random.integers(0, len(content), 1 + random.integers(20)):
        content[place] = random.integers(256)
    return bytes(content)


def animated(random) -> bytes:
    """Many frames."""
    file = io.BytesIO()
    frames = [Image.fromarray(random.integers(0, 255, (8, 8), dtype=np.uint8)) for _ in range(60)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def zipped(random) -> bytes:
    """An archive whose members would lie elsewhere."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../outside/a.png", encoded(random))
    return file.getvalue()


PLAIN = [
    lambda random, content=content: content
    for content in (
        b"",
        b"\0",
        b"<script>window.ran = 1; alert(1)</script>",
        b"<!doctype html><img src=x onerror=alert(1)>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><svg><text>&x;</text></svg>",
        b"GIF89a/*\xff\xff*/=1;alert(1)//",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) (r) file\n",
        b"%PDF-1.7\n1 0 obj << /OpenAction << /S /JavaScript /JS (app.alert(1)) >> >> endobj",
        b"push graphic-context\nfill 'url(https://evil.example/x|touch outside)'\npop graphic-context",
        b"#!/bin/sh\ntouch outside\n",
        b"../../../etc/passwd",
        b"\x80\x04cposix\nsystem\n(S'touch outside'\ntR.",
        b"P6\n2 2\n255\n" + b"\0" * 12,
        b"8BPS\0\1" + b"\0" * 40,
        b"\0\0\1\0\1\0\1\1\0\0\1\0\x18\0" + b"\xff" * 40,
        b"II*\0\x08\0\0\0" + b"\xff" * 200,
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\xff" * 64,
        b"\xff\xd8\xff\xe0" + b"\xff" * 300,
        b"BM" + b"\xff" * 100,
    )
]
MADE = [
    lambda random: random.bytes(int(random.integers(1, 4000))),
    lambda random: b"\x89PNG\r\n\x1a\n" + random.bytes(200),
    cut, damaged, cut, damaged, animated, zipped,
    lambda random: png(60_000, 60_000, chunk(b"IDAT", zlib.compress(b"\0" * 9))),
    lambda random: png(2**31 - 1, 1, chunk(b"IDAT", zlib.compress(b"\0" * 9))),
    lambda random: png(0, 0, chunk(b"IDAT", b"")),
    lambda random: png(3000, 3000, chunk(b"IDAT", zlib.compress(b"\0" * (3000 * 9001), 9))),
    lambda random: png(4, 4, chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 2**24)), chunk(b"IDAT", b"")),
    lambda random: png(4, 4, chunk(b"iCCP", b"a\0\0" + random.bytes(99)), chunk(b"IDAT", zlib.compress(b"\0" * 52))),
    lambda random: encoded(random, "JPEG", "CMYK"),
    lambda random: encoded(random, "PNG", "P"),
    lambda random: encoded(random, "PNG", "1"),
    lambda random: encoded(random, "JPEG", exif=b"Exif\0\0" + random.bytes(64)),
    lambda random: encoded(random, "PNG") + b"<script>alert(1)</script>",
    lambda random: encoded(random, "JPEG", comment=b"<script>alert(1)</script>"),
    lambda random: encoded(random, size=(1, 3000)),
    lambda random: encoded(random, "TIFF", compression="tiff_lzw")[:-40] + random.bytes(40),
]  # fmt: skip

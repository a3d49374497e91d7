"""Images of every kind become the pixels that Pillow gives, and what cannot be decoded says why."""

import pickle

import numpy as np
import pytest
from ofakit.data import BadImage, load_square
from PIL import Image, PngImagePlugin

SIZE = 24


def draw(path, size=(60, 40), mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def save_deep(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_sixteen_bits_of_grey_become_eight(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    expected = load_square(np.stack([grey] * 3, 2), 16)
    np.testing.assert_array_equal(expected[..., 0], grey)
    deep = grey.astype(np.uint16) * 257
    for kind in ("a.png", "a.tif"):
        np.testing.assert_array_equal(load_square(save_deep(tmp_path / kind, deep), 16), expected)
    for kind in (deep.astype(">u2"), deep.astype(np.int32), grey.astype(np.int32)):
        np.testing.assert_array_equal(load_square(Image.fromarray(kind), 16), expected)


@pytest.mark.parametrize("pixels", [np.full((4, 4), 0.5, np.float32), np.full((4, 4), 70_000, np.int32)])
def test_grey_whose_white_is_unknown_is_a_bad_image(tmp_path, pixels):
    with pytest.raises(BadImage, match="a.tif: expected .* 16 bits"):
        load_square(save_deep(tmp_path / "a.tif", pixels), 8)


@pytest.mark.parametrize("colours", [(), (3,), (4,)])
def test_arrays_are_images(colours):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, *colours), np.uint8)
    np.testing.assert_array_equal(load_square(pixels, 8), load_square(Image.fromarray(pixels), 8))


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (None, "None"), (3, "3"), (("a.png",), "a.png"), ({"img": "a.png"}, "img"),
        (np.zeros((4, 4, 3), np.float32), r"float32 of shape \(4, 4, 3\)"), (np.zeros((4, 4, 2), np.uint8), "4, 4, 2"),
        (np.zeros(4, np.uint8), "uint8 of shape"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_told_from_a_broken_one(image, found):
    with pytest.raises(BadImage, match=f"expected a path, bytes, a PIL image.*found .*{found}"):
        load_square(image, 8)


def test_addresses_say_that_they_are_not_downloaded():
    with pytest.raises(BadImage, match="https://example.com/a.png: URLs are not downloaded"):
        load_square("https://example.com/a.png", 8)


@pytest.mark.parametrize(("name", "mode"), [("a.jpg", "RGB"), ("c.png", "P"), ("d.png", "L"), ("e.jpg", "CMYK")])
def test_paths_bytes_and_pil_images_give_the_pixels_of_pillows_resize(tmp_path, name, mode):
    path = draw(tmp_path / name, mode=mode)
    expected = np.asarray(Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    for image in (path, str(path), path.read_bytes(), Image.open(path)):
        np.testing.assert_array_equal(load_square(image, SIZE), expected)


def test_exif_orientation_turns_the_image_upright(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(path, (40, 20), exif=exif)
    upright = Image.open(path).transpose(Image.Transpose.ROTATE_270).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(load_square(path, SIZE), np.asarray(upright))
    # Whoever hands over a decoded image has turned it, or wants it as it is.
    assert not np.array_equal(load_square(Image.open(path), SIZE), np.asarray(upright))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"no image", "cannot identify image file"), (b"", "cannot identify image file")],
)
def test_a_file_that_cannot_be_decoded_says_why(tmp_path, content, reason):
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadImage, match=reason) as caught:
        load_square(path, SIZE)
    assert (caught.value.path, str(caught.value)) == (str(path), f"{path}: {caught.value.reason}")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.path, again.reason) == (caught.value.path, caught.value.reason)


def test_bytes_that_cannot_be_decoded_are_called_bytes():
    with pytest.raises(BadImage, match="^<bytes>: cannot identify"):
        load_square(b"no image", SIZE)


def test_memory_that_runs_out_is_no_fault_of_the_image(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    path = draw(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(MemoryError):
        load_square(path, SIZE)


def test_a_draft_is_nearly_the_same(tmp_path):
    path = draw(tmp_path / "a.jpg", (800, 600))
    whole, draft = load_square(path, SIZE), load_square(path, SIZE, draft=True)
    assert whole.shape == draft.shape and 0 < np.abs(draft.astype(int) - whole).mean() < 20


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_laid_on_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (9, 9, 9, 0))
    image.paste((9, 9, 9, 255), (0, 0, 8, 4))
    image.convert(mode).save(tmp_path / "a.png", **({"transparency": 0} if mode == "P" else {}))
    shown = load_square(tmp_path / "a.png", 8)
    assert shown[7].min() == 255 or mode == "P"
    assert shown[0].max() < 30 or mode == "P"
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 127))
    assert load_square(half, 4).max() == 128


def test_texts_in_a_png_never_spoil_it(tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", "a" * 3_000_000, zip=True)
    draw(tmp_path / "a.png")
    draw(tmp_path / "b.png", pnginfo=texts)
    expected = load_square(tmp_path / "a.png", SIZE)
    np.testing.assert_array_equal(load_square(tmp_path / "b.png", SIZE), expected)
    np.testing.assert_array_equal(load_square((tmp_path / "b.png").read_bytes(), SIZE), expected)

"""Inputs that people met, with their right values: `shared/cases`, one folder a case."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.data import BadImage, examples_from_dataset, load_square
from ofakit.data.decoding import load_rgb
from ofakit.data.image_folders import images_in
from ofakit.data.json_files import read_jsonl
from ofakit.data.readers import READERS


@pytest.fixture(scope="module")
def cases(shared):
    """The folder of a case, by the beginning of its name."""
    folder = shared / "cases"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return lambda number: next(folder.glob(f"{number}-*"))


SHARED_IDS = [
    ("0#happy", "red.jpg", "happy", ("what a lovely red circle",)),
    ("0#gloomy", "red.jpg", "gloomy", ("just another sad red circle",)),
    ("1#happy", "blue.jpg", "happy", ("what a lovely blue circle",)),
    ("1#gloomy", "blue.jpg", "gloomy", ("just another sad blue circle",)),
]


def test_10_rows_that_share_an_id_stay_apart_by_style_in_files(cases):
    folder = cases(10)
    reader = READERS.build({"type": "jsonl", "train": "train.jsonl", "id_column": "image_id"}, root=folder)
    found = [(e.id, e.image_path, e.style, e.references) for e in reader.read("train")]
    assert found == [(own, str(folder / image), *rest) for own, image, *rest in SHARED_IDS]


def test_10_rows_that_share_an_id_stay_apart_by_style_in_memory(cases):
    rows = read_jsonl(cases(10) / "train.jsonl", "rows")
    assert [(e.id, e.image, e.style, e.references) for e in examples_from_dataset(rows)] == SHARED_IDS


def test_01_broken_metadata_never_spoils_a_sound_image(cases):
    good, turned = (load_square(cases("01") / name, 48).astype(int) for name in ("good.jpg", "orient6.jpg"))
    files = [path for path in cases("01").iterdir() if path.suffix in (".jpg", ".png", ".webp")]
    assert len(files) == 14
    for path in files:
        expected = turned if path.name.startswith("turned") or path.name == "orient6.jpg" else good
        allowed = 0 if path.suffix == ".jpg" else 3
        assert abs(load_square(path, 48) - expected).mean() <= allowed, path.name
    assert load_rgb(cases("01") / "orient6.jpg").size == (48, 64)


def test_02_what_is_transparent_is_laid_on_white(cases):
    for name, seen in (("cutout.png", "on_white.png"), ("logo.png", "logo_on_white.png")):
        found, expected = (load_square(cases("02") / file, 64).astype(int) for file in (name, seen))
        assert abs(found - expected).max() <= 1


def test_11_everything_that_is_decoded_is_found_in_a_folder(cases):
    images, others = images_in(cases(11) / "pictures")
    assert (len(images), others) == (9, [])
    assert all(load_square(image, 8).shape == (8, 8, 3) for image in images)


GREY = ("grey", "la.", "bilevel")


def test_26_images_of_every_mode_are_read(cases):
    expected = load_square(cases(26) / "rgb.png", 32).astype(int)
    for path in cases(26).iterdir():
        if path.name == "cut.jpg":
            with pytest.raises(BadImage, match="truncated"):
                load_square(path, 32)
        elif path.suffix:
            found = load_square(path, 32).astype(int)
            wanted = np.repeat(expected.mean(2, keepdims=True), 3, 2) if path.name.startswith(GREY) else expected
            if path.name == "palette_trns_bytes.png":  # half transparent, as a whole
                wanted = (expected + 255) / 2
            assert abs(found - wanted).mean() < 20, path.name

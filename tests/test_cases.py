"""Inputs that people met, with their right values: `shared/cases`, one folder a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ofakit.data import BadImage, examine, examples_from_dataset, load_square
from ofakit.data.decoding import load_rgb
from ofakit.data.image_folders import images_in
from ofakit.data.json_files import read_jsonl
from ofakit.data.readers import READERS
from ofakit.errors import UsageError


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


def read(cases, number, split, folder=".", **spec):
    """What a reader finds in a case."""
    return READERS.build(spec, root=cases(number) / folder).read(split)


def test_05_tsv_of_ofa(cases, tmp_path):
    spec = {"type": "ofa_tsv", "unpack_to": str(tmp_path)}
    colours = ["red", "green", "blue"]
    train, val = (read(cases, "05", split, **spec) for split in ("train", "val"))
    assert [e.id for e in train] == [e.id for e in val] == ["100", "101", "102"]
    assert [e.references for e in train] == [(f"a {colour} circle on a white ground",) for colour in colours]
    assert [len(e.references) for e in val] == [2, 2, 2] and val[0].references[1] == "there is a circle"
    assert [int(load_rgb(e.image).getpixel((32, 24))[place] > 120) for place, e in enumerate(train)] == [1, 1, 1]
    lines = read(cases, "05", "train", type="jsonl", train="as_jsonl.jsonl", encoding="base64", unpack_to=str(tmp_path))
    assert [(e.image, e.references) for e in lines] == [(e.image, e.references) for e in train]
    with pytest.raises(UsageError, match='give the reader "encoding": "base64"'):
        read(cases, "05", "train", type="jsonl", train="as_jsonl.jsonl")


def test_08_a_json_list(cases):
    spec = {"type": "jsonl", "train": "train.json", "val": "val.json"}
    assert [e.references for e in read(cases, "08", "train", **spec)] == [("a red circle",), ("a green circle",),
                                                                        ("a blue circle",)]  # fmt: skip
    assert [len(e.references) for e in read(cases, "08", "val", **spec)] == [2, 2, 2]
    assert [e.id for e in read(cases, "08", "train", **spec, id_column="image_id")] == ["my_0", "my_1", "my_2"]


@pytest.mark.parametrize("name", ["dataset_mini8k.json", "dataset_minicoco.json"])
def test_09_karpathys_files(cases, name):
    reader = READERS.build({"type": "coco_captions", "karpathy": name}, root=cases("09"))
    assert reader.splits() == ["train", "val", "test"]
    found = {split: [(e.image_path, e.references) for e in reader.read(split)] for split in reader.splits()}
    assert found["val"] == [(str(cases("09") / "green.jpg"), ("A green circle .", "One circle which is green ."))]


def test_16_data_sets_in_styles_as_they_are_given_out(cases):
    for spec in ({"type": "senticap"}, {"type": "coco_captions", "karpathy": "data.json"}):
        found = [(e.style, e.references) for e in read(cases, 16, "train", "senticap", **spec)]
        assert found == [("positive", ("a lovely red circle",)), ("negative", ("an ugly red circle",)),
                         ("positive", ("a lovely blue circle",)), ("negative", ("an ugly blue circle",))]  # fmt: skip
    found = read(cases, 16, "train", "flickrstyle", type="flickrstyle_released", images="../senticap")
    assert [(Path(e.image).name, e.style) for e in found] == [
        ("red.jpg", "humorous"), ("red.jpg", "romantic"), ("blue.jpg", "humorous"), ("blue.jpg", "romantic"),
    ]  # fmt: skip
    assert found[3].references == ("a blue circle dreams of the lover\u2019s eyes.",)


def test_22_domains_of_nocaps_are_groups(cases):
    found = read(cases, 22, "val", type="nocaps", val="annotations.json")
    assert [e.group for e in found] == ["in-domain", "near-domain", "out-domain"] * 2
    assert all(len(e.references) == 2 for e in found)


def test_23_paths_of_windows(cases):
    (example,) = read(cases, 23, "train", type="jsonl", train="train.jsonl")
    assert load_square(example.image, 8).shape == (8, 8, 3)


def test_28_personality_captions_as_they_are_given_out(cases):
    reader = READERS.build({"type": "personality_captions"}, root=cases(28))
    splits = {split: reader.read(split) for split in reader.splits()}
    assert {split: len(examples) for split, examples in splits.items()} == {"train": 4, "val": 1, "test": 1}
    assert len(splits["test"][0].references) == 5
    report = examine(splits)
    assert [Path(row["image"]).name for row in report["splits"]["train"]["broken_images"]] == ["cc33.jpg"]
    assert report["splits"]["test"]["broken_images"] == report["splits"]["val"]["broken_images"] == []

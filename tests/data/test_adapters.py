"""Data sets in memory become examples."""

import io
from pathlib import Path

import numpy as np
import pytest
from ofakit.data import Example, examples_from_dataset
from ofakit.errors import UsageError
from PIL import Image


def png():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_rows_with_usual_names():
    rows = [{"image": "a.jpg", "caption": "one", "style": "s"}, {"image": "b.jpg", "captions": ["x", "y"]}]
    first, second = examples_from_dataset(rows)
    assert (first.text, first.references, first.style, first.id) == ("one", ("one",), "s", "0")
    assert (second.text, second.references, second.id) == (None, ("x", "y"), "1")


def test_column_map_wins():
    (example,) = examples_from_dataset([{"photo": "a.jpg", "caption": "no", "say": "yes"}],
                                       {"image": "photo", "text": "say"})  # fmt: skip
    assert (example.image, example.text) == ("a.jpg", "yes")


def test_examples_pass_through():
    example = Example("a")
    assert examples_from_dataset([example])[0] is example


def test_wrong_field_column_and_row_are_named():
    with pytest.raises(UsageError, match="did you mean 'text'"):
        examples_from_dataset([], {"txt": "caption"})
    with pytest.raises(UsageError, match="did you mean 'caption'"):
        examples_from_dataset([{"caption": "x", "image": "a"}], {"text": "captions_"})
    with pytest.raises(UsageError, match="found int in row 0"):
        examples_from_dataset([3])
    with pytest.raises(UsageError, match="expected captions as text"):
        examples_from_dataset([{"text": 3}])


@pytest.mark.parametrize("row", [{"text": "a", "style": 0}, Example("a", text="a", style=0)])
def test_styles_that_are_no_text_are_refused(row):
    with pytest.raises(UsageError, match="expected a style as text in row 1, found 0"):
        examples_from_dataset([{"text": "a", "style": " "}, row])


def test_rows_without_a_known_column_name_those_found_and_expected():
    expected = "image or captions in row 1, in a column of image, image_path, text, caption, references, captions; "
    with pytest.raises(UsageError, match=expected + "found the columns say, photo: .*column map"):
        examples_from_dataset([{"text": None}, {"say": "x", "photo": "a.jpg"}])


def test_several_splits_are_refused():
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": ["one"]})
    with pytest.raises(UsageError, match="one split, found 'train', 'test': choose one"):
        examples_from_dataset(datasets.DatasetDict({"train": rows, "test": rows}))


def test_hugging_face_images_stay_encoded(tmp_path):
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "a.png"
    path.write_bytes(png())
    images = [{"bytes": None, "path": str(path)}, {"bytes": png(), "path": None}]
    dataset = datasets.Dataset.from_dict({"image": images, "text": ["one", "two"]}).cast_column(
        "image", datasets.Image()
    )
    on_disk, embedded = examples_from_dataset(dataset)
    assert on_disk.image == str(path)
    assert embedded.image == png()


def test_ms_dataset():
    datasets = pytest.importorskip("datasets")
    ms_dataset = pytest.importorskip("modelscope.msdatasets").MsDataset
    dataset = ms_dataset.to_ms_dataset(datasets.Dataset.from_dict({"image": ["a.jpg"], "text": ["one"]}))
    assert examples_from_dataset(dataset) == [Example("0", "a.jpg", "one", ("one",))]


@pytest.mark.parametrize(("row", "own"), [({"id": 7}, "7"), ({"image_id": "x"}, "x"), ({"id": None}, "0"), ({}, "0")])
def test_a_row_without_an_id_gets_its_number(row, own):
    assert examples_from_dataset([{"text": "one", **row}])[0].id == own


def test_several_texts_are_references():
    (example,) = examples_from_dataset([{"caption": ["one", "two"]}])
    assert (example.text, example.references) == (None, ("one", "two"))
    (example,) = examples_from_dataset([{"caption": ["one", "two"], "references": ["three"]}])
    assert (example.text, example.references) == (None, ("three",))


def test_every_kind_of_image_passes():
    images = [Image.new("RGB", (2, 2)), np.zeros((2, 2, 3), np.uint8), png(), Path("a.jpg"), None]
    for image, example in zip(images, examples_from_dataset([{"image": image} for image in images]), strict=True):
        assert example.image is image
    with pytest.raises(UsageError, match="expected a path, bytes, a PIL image or an array in row 0, found int"):
        examples_from_dataset([{"image": 3}])


def test_rows_of_one_id_are_joined_within_a_style_and_named_apart():
    rows = [("happy", "lovely"), ("gloomy", "sad"), ("happy", "nice")]
    rows = [{"image_id": 0, "image": "a.jpg", "style": style, "caption": text} for style, text in rows]
    happy, gloomy = examples_from_dataset(rows)
    assert (happy.id, happy.text, happy.references) == ("0#happy", None, ("lovely", "nice"))
    assert (gloomy.id, gloomy.text, gloomy.references) == ("0#gloomy", "sad", ("sad",))

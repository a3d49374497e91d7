"""The image of a caption is found by any name the files give it, and never guessed among several."""

from __future__ import annotations

import pytest
from ofakit.cli._caption_images import find_images
from ofakit.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    names = (
        "a.jpg",
        "deep/b.png",
        "deep/COCO_val2014_000000391895.jpg",
        "000000000042.jpg",
        "one/c.jpg",
        "two/c.jpg",
        "x_7.jpg",
    )
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["a.jpg"], "a.jpg"),
        (["a"], "a.jpg"),
        (["gone/a.jpg", "5"], "a.jpg"),
        (["deep\\b.png"], "deep/b.png"),
        (["C:\\data\\b.png"], "deep/b.png"),
        (["b"], "deep/b.png"),
        (["391895"], "deep/COCO_val2014_000000391895.jpg"),
        (["42"], "000000000042.jpg"),
        (["two/c.jpg"], "two/c.jpg"),
    ],
)
def test_it_is_found_in_the_folder(folder, names, found):
    assert find_images({"1": names}, folder, []) == {"1": folder / found}


def test_without_a_folder_it_is_found_beside_the_files_or_as_it_is_given(folder, monkeypatch):
    files = [folder / "predictions.json", folder / "deep" / "references.json"]
    assert find_images({"1": ["a.jpg"], "2": ["b.png"]}, None, files) == {
        "1": folder / "a.jpg", "2": folder / "deep" / "b.png",
    }  # fmt: skip
    assert find_images({"1": [str(folder / "a.jpg")]}, None, []) == {"1": folder / "a.jpg"}


@pytest.mark.parametrize("name", ["gone.jpg", "c.jpg", "c", "7", "", "x" * 5000, "a\0b"])
def test_what_is_not_there_or_there_twice_is_named(folder, name):
    with pytest.raises(
        UsageError, match="images of 1 of 2 items were not found, or more than one file matches: '"
    ) as caught:
        find_images({"1": [name], "2": ["a.jpg"]}, folder, [])
    assert name[:80] in str(caught.value).replace("\\x00", "\0") and len(str(caught.value)) < 300


def test_the_first_of_many_are_named(folder):
    with pytest.raises(UsageError, match="'0.jpg', '1.jpg', '2.jpg', '3.jpg', '4.jpg' …; name the folder"):
        find_images({str(n): [f"{n}.jpg"] for n in range(9)}, None, [])
    with pytest.raises(UsageError, match="--images: expected a folder, found"):
        find_images({}, folder / "a.jpg", [])

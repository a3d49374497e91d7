"""Scenes are generated once, whole or not at all, and read like any other data set."""

import json
import multiprocessing

import numpy as np
import pytest
from ofakit.data import READERS
from ofakit.data.scene_captions import COUNTS, STYLES, Scene, describes
from ofakit.errors import UsageError
from ofakit.files import SaveError
from PIL import Image

SMALL = {"type": "scenes", "images": 12, "val": 3, "test": 4, "size": 32}


def reader(root, **changes):
    return READERS.build({**SMALL, **changes}, root=root)


def test_examples_and_images(tmp_path):
    scenes = reader(tmp_path)
    assert scenes.splits() == ["train", "val", "test"]
    examples = scenes.read("test")
    assert len(examples) == 4 * 4
    rows = [json.loads(line) for line in scenes.files["test"].read_text().splitlines()]
    known = {row["image"]: Scene(**row["scene"]) for row in rows}
    for example in examples:
        name, style = example.id.split("#")
        assert example.style == style in STYLES
        assert len(example.references) == 4
        assert all(
            scenes.obeys_style(caption, style) and describes(caption, known[name]) for caption in example.references
        )
        assert Image.open(example.image).size == (32, 32)
        assert [said.text for said in example.region_texts] == shapes_of(known[name])
    assert len(scenes.read("train[:5]")) == 20


def shapes_of(scene):
    first = f"{scene.color} {scene.shape}"
    if scene.relation:
        return [first, f"{scene.other_color} {scene.other_shape}"]
    return [first] * (COUNTS.index(scene.count) + 1)


def test_boxes_are_where_the_images_show_the_shapes(tmp_path):
    for example in reader(tmp_path, size=64).read("test"):
        pixels = np.asarray(Image.open(example.image)).astype(int)
        paint = np.abs(pixels - pixels[0, 0]).max(axis=2) > 40
        y, x = np.nonzero(paint)
        edges = np.array([said.box for said in example.region_texts]) * 64
        found = (edges[:, 0].min(), edges[:, 1].min(), edges[:, 2].max(), edges[:, 3].max())
        np.testing.assert_allclose(found, (x.min(), y.min(), x.max() + 1, y.max() + 1), atol=1.6)


def test_settings_make_the_folder_and_the_images(tmp_path):
    first, again, other = reader(tmp_path / "a"), reader(tmp_path / "b"), reader(tmp_path / "a", seed=8)
    assert first.folder.name == again.folder.name != other.folder.name
    for one, two in zip(first.read("train"), again.read("train"), strict=True):
        assert one.references == two.references
        np.testing.assert_array_equal(np.asarray(Image.open(one.image)), np.asarray(Image.open(two.image)))
    assert [e.references for e in first.read("train")] != [e.references for e in other.read("train")]
    assert json.loads((first.folder / "scenes.json").read_text()) == first.settings


def test_chosen_styles(tmp_path):
    assert {e.style for e in reader(tmp_path, styles=["pirate", "robot"]).read("val")} == {"pirate", "robot"}
    with pytest.raises(UsageError, match="did you mean 'pirate'"):
        reader(tmp_path, styles=["pirates"])


@pytest.mark.parametrize("change", [{"images": 0}, {"size": 4}, {"pairs": 2}])
def test_numbers_out_of_range(tmp_path, change):
    with pytest.raises(UsageError, match="expected images"):
        reader(tmp_path, **change)


def read_train(root):
    reader(root).read("train")


def test_processes_that_generate_at_once_leave_one_folder(tmp_path):
    many = [multiprocessing.get_context("spawn").Process(target=read_train, args=(tmp_path,)) for _ in range(3)]
    for process in many:
        process.start()
    for process in many:
        process.join(120)
        assert process.exitcode == 0
    assert [path.name for path in tmp_path.iterdir()] == [reader(tmp_path).folder.name]


def test_a_failed_generation_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(SaveError, match="cannot save .*No space left on device.*MiB free"):
        reader(tmp_path).generate()
    assert not list(tmp_path.iterdir())

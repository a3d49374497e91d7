"""`tools/data.py features`: a store from a folder or an experiment, in parts, and never of two networks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ofakit.cli.data import main
from ofakit.data.region_store import RegionStore
from PIL import Image

OPTIONS = {"channels": [8, 8, 8, 16]}


def answer(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images" / "inner").mkdir(parents=True)
    for k in range(5):
        pixels = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / ("inner" if k else ".") / f"{k}.png")
    return tmp_path / "images"


@pytest.fixture
def conf(tmp_path, images):
    rows = [{"image": f"inner/{k}.png", "captions": ["a"]} for k in range(1, 5)] + [
        {"image": "0.png", "captions": ["b"]}
    ]
    for split, part in (("train", rows[:3]), ("val", rows[3:4]), ("test", rows[4:])):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    reader = {"type": "jsonl", "images": "images", **{split: f"{split}.jsonl" for split in ("train", "val", "test")}}
    regions = {"network": {"name": "resnet10t", "options": OPTIONS}, "image_size": 64}
    values = {"data": {"root": str(tmp_path), "reader": reader, "regions": regions}, "work_dir": str(tmp_path / "run")}
    (tmp_path / "conf.json").write_text(json.dumps(values))
    return str(tmp_path / "conf.json")


def of_folder(images, out, *further):
    command = ["features", "--images", str(images), "--network", "resnet10t", "--image-size", "64", "--out", str(out)]
    return main([*command, *further])


def test_a_folder_of_images_in_parts_and_again(images, tmp_path, capsys):
    (images / "broken.png").write_bytes(b"no")
    assert of_folder(images, tmp_path / "store", "--shard", "0/2", "--pool", "1", "--dtype", "float16") == 0
    first = answer(capsys)
    assert of_folder(images, tmp_path / "store", "--shard", "1/2", "--pool", "1", "--dtype", "float16") == 0
    second = answer(capsys)
    assert first["made"] + second["made"] == 5 and first["bad"] + second["bad"] == 1
    assert (first["regions"], first["width"], first["images"]) == (1, 512, 6)
    assert of_folder(images, tmp_path / "store", "--pool", "1", "--dtype", "float16") == 0
    assert answer(capsys)["made"] == 0
    store = RegionStore(tmp_path / "store")
    assert sorted(store.names()) == ["0.png", *(f"inner/{k}.png" for k in range(1, 5))]
    assert store.regions("inner/3.png").features.shape == (1, 512) and store.header["dtype"] == "float16"


def test_an_experiment_under_the_names_that_its_run_seeks(conf, tmp_path, capsys):
    assert main(["features", "--conf", conf]) == 0
    found = answer(capsys)
    assert (found["images"], found["made"], found["regions"], found["width"]) == (5, 5, 4, 16)
    assert found["out"] == str(tmp_path / "run" / "regions")
    assert str(tmp_path / "images" / "inner" / "2.png") in RegionStore(tmp_path / "run" / "regions").names()
    assert main(["features", "--conf", conf, "--grid", "1", "--out", str(tmp_path / "other")]) == 0
    assert answer(capsys)["regions"] == 1


def test_processes_make_what_one_makes(conf, tmp_path, capsys):
    assert main(["features", "--conf", conf]) == 0
    answer(capsys)
    assert main(["features", "--conf", conf, "--out", str(tmp_path / "two"), "--processes", "2"]) == 0
    found = answer(capsys)
    assert (found["made"], found["processes"], found["bad"]) == (5, 2, 0)
    one, two = RegionStore(tmp_path / "run" / "regions"), RegionStore(tmp_path / "two")
    assert one.header == two.header
    assert all(np.array_equal(one.regions(key).features, two.regions(key).features) for key in one.names())


def test_another_network_is_refused(images, tmp_path, capsys):
    assert of_folder(images, tmp_path / "store") == 0
    assert of_folder(images, tmp_path / "store", "--pool", "1") == 2
    assert "features of two networks cannot share a store" in capsys.readouterr().err
    assert of_folder(images, tmp_path / "store", "--weights", str(tmp_path / "none.safetensors")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pass either --conf FILE or --images DIR"),
        (["--images", "DIR"], "--images needs --network NAME and --out STORE"),
        (["--images", "none", "--network", "resnet10t", "--out", "store"], "expected a folder of images, found none"),
        (["--images", "DIR", "--network", "clip", "--out", "store"], "network.name clip needs network.weights"),
        (["--images", "DIR", "--network", "resnet10t", "--out", "store", "--shard", "2/2"], "--shard: expected I/N"),
        (
            ["--images", "DIR", "--network", "resnet10t", "--out", "s", "--shard", "0/2", "--processes", "2"],
            "without it",
        ),
        (["--images", "DIR", "--network", "resnet10t", "--out", "s", "--grid", "100"], "less than or equal to 64"),
    ],
)
def test_bad_usage(images, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["features", *(str(images) if word == "DIR" else word for word in arguments)]) == 2
    assert message in capsys.readouterr().err

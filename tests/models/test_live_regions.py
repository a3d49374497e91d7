"""Regions of images that no store has: as a store has them, kept in a directory and refused where it has changed."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch
from ofakit.config.load import checked
from ofakit.config.regions import RegionsSection
from ofakit.data.decoding import BadImage
from ofakit.data.region_store import RegionStore
from ofakit.errors import UsageError
from ofakit.models.live_regions import LiveRegions
from ofakit.models.region_making import make_regions
from ofakit.models.region_network import RegionNetwork
from PIL import Image
from safetensors.torch import load_file, save_file

TIMM = {"name": "resnet10t", "options": {"channels": [8, 16, 24, 32]}}


@pytest.fixture
def images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    names = [str(tmp_path / f"{place}.png") for place in range(2)]
    for name, own in zip(names, pixels, strict=True):
        Image.fromarray(own).save(name)
    return names


def clip_directory(folder):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=64, patch_size=16)).save_pretrained(folder)
    norm = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(norm))
    return {"name": "clip", "weights": str(folder)}


def section(tmp_path, kind="timm", **keys):
    network = TIMM if kind == "timm" else clip_directory(tmp_path / "tower")
    return checked(RegionsSection, {"image_size": 64, "network": network, **keys})


@pytest.mark.parametrize("kind", ["timm", "clip"])
@pytest.mark.parametrize("keys", [{}, {"dtype": "float16", "pool": 1}])
def test_they_are_those_of_the_store_and_come_back_without_other_files(tmp_path, images, kind, keys):
    network = RegionNetwork(section(tmp_path, kind, **keys), seed=5)
    store = RegionStore.make(tmp_path / "store", network.width, network.made_by, network.section.dtype)
    make_regions(network, store, {name: name for name in images})
    LiveRegions.of(network).write(tmp_path / "kept")
    if kind == "clip":
        (tmp_path / "tower").rename(tmp_path / "gone")
    (tmp_path / "kept").rename(tmp_path / "moved")
    again = pickle.loads(pickle.dumps(LiveRegions.read(tmp_path / "moved")))
    assert again.about.made_by == store.header["made_by"] and again.width == store.width
    for name in images:
        found = again.regions(name)
        np.testing.assert_array_equal(found.features, store.regions(name).features)
        assert found.boxes is None and found.features.dtype == np.float32
        np.testing.assert_array_equal(again.regions(np.asarray(Image.open(name))).features, found.features)
    assert np.ptp(again.regions(images[0]).features) > 0
    assert not np.array_equal(again.regions(images[0]).features, again.regions(images[1]).features)


def test_one_image_is_computed_once(tmp_path, images, monkeypatch):
    live = LiveRegions.of(RegionNetwork(section(tmp_path)))
    calls = []
    monkeypatch.setattr(RegionNetwork, "_regions", lambda self, images: calls.append(1) or torch.ones(1, 4, 32))
    assert all(len(live.regions(images[0])) == 4 for _ in range(3)) and len(calls) == 1
    live.regions(images[1])
    assert len(calls) == 2


@pytest.fixture
def calls(monkeypatch):
    """How many images each call of a region network is about."""
    found = []
    plain = RegionNetwork.__call__

    def counted(self, images, **keys):
        found.append(len(images))
        return plain(self, images, **keys)

    monkeypatch.setattr(RegionNetwork, "__call__", counted)
    return found


def test_those_of_several_images_are_made_together_and_each_once(tmp_path, images, calls):
    alone = LiveRegions.of(RegionNetwork(section(tmp_path)))
    expected = [alone.regions(name) for name in images]
    live = LiveRegions.of(RegionNetwork(section(tmp_path)))
    calls.clear()
    again = np.asarray(Image.open(images[0]))
    found = live.regions_of([images[0], str(tmp_path / "none.png"), images[1], again, images[1]])
    assert calls == [2]
    assert isinstance(found[1], BadImage) and found[1].reason == "no such file"
    for own, place in zip([found[0], *found[2:]], [0, 1, 0, 1], strict=True):
        np.testing.assert_allclose(own.features, expected[place].features, atol=1e-5, rtol=0)
    assert np.abs(expected[0].features - expected[1].features).max() > 1e-3
    assert [own.features.tolist() for own in live.regions_of(images)] == [
        found[0].features.tolist(),
        found[2].features.tolist(),
    ]
    assert calls == [2] and live.regions_of([]) == []


def test_many_images_are_made_in_several_calls_and_the_last_ones_remembered(tmp_path, calls):
    live = LiveRegions.of(RegionNetwork(section(tmp_path)))
    calls.clear()
    many = [np.full((4, 4, 3), number, np.uint8) for number in range(70)]
    found = live.regions_of([*many, *many])
    assert calls == [32, 32, 6] and len(found) == 140
    assert all(first is second for first, second in zip(found[:70], found[70:], strict=True))
    live.regions_of(many[6:])
    assert calls == [32, 32, 6]
    live.regions_of(many[:6])
    assert calls == [32, 32, 6, 6]


def test_features_beyond_the_range_are_the_error_of_one_image(tmp_path, images, monkeypatch):
    live = LiveRegions.of(RegionNetwork(section(tmp_path, dtype="float16")))
    features = torch.ones(2, 4, 32)
    features[1] *= 7e4
    monkeypatch.setattr(RegionNetwork, "__call__", lambda self, images, **_: features[: len(images)])
    good, bad = live.regions_of(images)
    assert good.features.shape == (4, 32) and isinstance(bad, UsageError)
    monkeypatch.setattr(RegionNetwork, "__call__", lambda self, images, **_: features[1:])
    with pytest.raises(UsageError, match="exceed the range of float16"):
        live.regions(images[1])


def test_a_large_network_stays_where_it_is(tmp_path, images):
    own = RegionNetwork(section(tmp_path), seed=3)
    weights = {name: value.contiguous().clone() for name, value in own.network.state_dict().items()}
    save_file(weights, tmp_path / "w.safetensors")
    named = section(tmp_path, network={**TIMM, "weights": str(tmp_path / "w.safetensors")}, keep_network=False)
    LiveRegions.of(RegionNetwork(named)).write(tmp_path / "kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["regions.json"]
    expected = own(
        torch.from_numpy(np.asarray(Image.open(images[0]).resize((64, 64), 3)).copy()).permute(2, 0, 1)[None]
    )
    np.testing.assert_allclose(LiveRegions.read(tmp_path / "kept").regions(images[0]).features, expected[0], atol=1e-6)
    (tmp_path / "w.safetensors").rename(tmp_path / "elsewhere.safetensors")
    with pytest.raises(UsageError, match="w.safetensors"):
        LiveRegions.read(tmp_path / "kept").regions(images[0])


def test_weights_that_have_changed_are_refused(tmp_path, images):
    LiveRegions.of(RegionNetwork(section(tmp_path))).write(tmp_path / "kept")
    file = tmp_path / "kept" / "model.safetensors"
    save_file({name: value * 2 for name, value in load_file(file).items()}, file)
    with pytest.raises(UsageError, match="not the one that the model was trained with: expected .* fingerprint"):
        LiveRegions.read(tmp_path / "kept").regions(images[0])


def test_a_second_directory_shares_the_weights(tmp_path):
    live = LiveRegions.of(RegionNetwork(section(tmp_path)))
    live.write(tmp_path / "one")
    other = LiveRegions.read(tmp_path / "one")
    other.write(tmp_path / "two")
    assert other._network is None
    one, two = ((tmp_path / name / "model.safetensors").stat() for name in ("one", "two"))
    assert one.st_ino == two.st_ino
    other.write(tmp_path / "two")
    LiveRegions.read(tmp_path / "two").network  # noqa: B018 (it is whole)
    (tmp_path / "one" / "regions.json").unlink()
    with pytest.raises(UsageError, match=r"model\.safetensors|not the one"):
        (tmp_path / "one" / "model.safetensors").unlink()
        LiveRegions(other.about, folder=tmp_path / "one").write(tmp_path / "three")


def test_another_experiment_reads_fewer_of_them(tmp_path):
    LiveRegions.of(RegionNetwork(section(tmp_path))).write(tmp_path / "kept")
    fewer = LiveRegions.read(tmp_path / "kept").with_section(section(tmp_path, max_regions=2))
    fewer.write(tmp_path / "again")
    assert LiveRegions.read(tmp_path / "again").about.regions.max_regions == 2
    assert LiveRegions.read(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "damaged or of another version"), ("{", "regions.json"), ({"version": 2}, "version"),
     ({"regions": {"path": "x.h5"}}, "found none"), ({"width": "many"}, "width")],
)  # fmt: skip
def test_a_damaged_directory_is_refused(tmp_path, images, content, message):
    LiveRegions.of(RegionNetwork(section(tmp_path))).write(tmp_path / "kept")
    file = tmp_path / "kept" / "regions.json"
    text = content if isinstance(content, str) else json.dumps({**json.loads(file.read_text()), **content})
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        LiveRegions.read(tmp_path / "kept").regions(images[0])


def test_an_image_that_cannot_be_read_is_a_bad_one(tmp_path):
    live = LiveRegions.of(RegionNetwork(section(tmp_path)))
    with pytest.raises(BadImage, match="no such file"):
        live.regions(str(tmp_path / "none.png"))

"""Pictures into a store of regions: each computed once, bad ones named, changed ones made again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.config.load import checked
from ofakit.config.regions import RegionsSection
from ofakit.data import region_store
from ofakit.data.decoding import load_square
from ofakit.data.region_store import RegionStore
from ofakit.models import region_making
from ofakit.models.region_making import make_regions
from ofakit.models.region_network import RegionNetwork
from PIL import Image

KEYS = {"image_size": 64, "network": {"name": "resnet10t", "options": {"channels": [8, 8, 8, 16]}}}


@pytest.fixture(scope="module")
def network():
    return RegionNetwork(checked(RegionsSection, KEYS))


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(5):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)).save(tmp_path / f"{k}.png")
    return {f"{k}.png": tmp_path / f"{k}.png" for k in range(5)}


def store_of(network, folder):
    return RegionStore.make(folder, network.width, network.made_by)


def test_they_are_what_the_network_makes_of_each_picture(network, images, tmp_path, monkeypatch):
    monkeypatch.setattr(region_making, "CHUNK", 2)
    seen = []
    store = store_of(network, tmp_path / "store")
    done = make_regions(network, store, images, workers=2, progress=lambda *counts: seen.append(counts))
    assert done == (5, {}) and seen == [(2, 5), (4, 5), (5, 5)]
    for name, path in images.items():
        pixels = torch.from_numpy(load_square(path, 64).copy()).permute(2, 0, 1)[None]
        found = store.regions(f"elsewhere/{name}")
        assert found.features.tolist() == network(pixels)[0].tolist() and found.boxes is None


def test_only_what_is_new_or_has_changed_is_made_again(network, images, tmp_path):
    store = store_of(network, tmp_path / "store")
    assert make_regions(network, store, dict(list(images.items())[:3])).made == 3
    assert make_regions(network, store_of(network, tmp_path / "store"), images).made == 2
    before = store_of(network, tmp_path / "store").regions("0.png").features
    Image.new("RGB", (9, 9), "red").save(images["0.png"])
    assert make_regions(network, store, images).made == 1
    assert not np.array_equal(store.regions("0.png").features, before)


def test_bad_pictures_are_named_and_the_others_made(network, images, tmp_path):
    images["0.png"].write_bytes(b"no picture")
    images["4.png"].unlink()
    store = store_of(network, tmp_path / "store")
    done = make_regions(network, store, images)
    assert done.made == 3 and sorted(done.bad) == ["0.png", "4.png"] and done.bad["4.png"] == "no such file"
    assert "0.png" not in store and len(store) == 3


def test_the_disk_keeps_all_of_them_at_the_end_and_after_a_failure(network, images, tmp_path, monkeypatch):
    monkeypatch.setattr(region_store, "SYNC_EVERY", float("inf"))
    monkeypatch.setattr(region_making, "CHUNK", 2)
    kept: list[tuple[str, int]] = []
    monkeypatch.setattr(region_store, "sync", lambda path: kept.append((path.name, path.stat().st_size)))
    store = store_of(network, tmp_path / "store")
    store.sync()

    def stopped(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_regions(network, store, images, progress=stopped)
    assert kept[-1] == ("index.jsonl", (tmp_path / "store" / "index.jsonl").stat().st_size) and len(kept) == 3
    assert make_regions(network, store, images).made == 1
    assert kept[-1] == ("index.jsonl", (tmp_path / "store" / "index.jsonl").stat().st_size) and len(kept) == 6


def test_pictures_in_memory(network, tmp_path):
    store = store_of(network, tmp_path / "store")
    image = Image.new("RGB", (8, 8), "blue")
    assert make_regions(network, store, {"pixels 1": image}).made == 1
    assert make_regions(network, store, {"pixels 1": image}).made == 0

"""Regions as other projects wrote them: VL-T5's and VL-Adapter's HDF5, npz of detectors."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from ofakit.data.region_files import HDF5Regions, NpzFile, NpzFolder, open_regions
from ofakit.data.region_store import RegionStore
from ofakit.data.regions import Regions
from ofakit.errors import UsageError

FEATURES = np.arange(8, dtype=np.float32).reshape(2, 4)
PIXELS = np.array([[0, 0, 50, 100], [10, 20, 100, 200]], np.float32)
FRACTIONS = [[0, 0, 0.5, 0.5], [0.1, 0.1, 1, 1]]


@pytest.fixture
def vlt5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "obj36.h5", "w") as file:
        group = file.create_group("COCO_val2014_000000000042")
        for name, value in (("features", FEATURES), ("boxes", PIXELS), ("img_w", 100), ("img_h", 200)):
            group[name] = value
    return tmp_path / "obj36.h5"


def test_vlt5s_layout(vlt5):
    source = open_regions(vlt5)
    regions = source.regions("val2014/COCO_val2014_000000000042.jpg")
    assert regions.features.tolist() == FEATURES.tolist() and source.width == 4 and len(source) == 1
    np.testing.assert_allclose(regions.boxes, FRACTIONS, atol=1e-6)
    assert "COCO_val2014_000000000042" in source and "COCO_val2014_000000000043.jpg" not in source and 42 not in source


def test_vl_adapters_grids_by_number(tmp_path):
    h5py = pytest.importorskip("h5py")
    grid = np.random.default_rng(0).normal(size=(49, 5)).astype(np.float16)
    with h5py.File(tmp_path / "clip.h5", "w") as file:
        file["42/features"] = grid
        file["43"] = grid
    source = open_regions(tmp_path / "clip.h5")
    regions = source.regions("COCO_val2014_000000000042.jpg")
    assert regions.features.tolist() == grid.astype(np.float32).tolist() and regions.boxes is None
    assert source.regions("43").features.shape == (49, 5)


def test_a_process_opens_the_file_itself(vlt5):
    source = HDF5Regions(vlt5)
    assert pickle.loads(pickle.dumps(source)).regions("COCO_val2014_000000000042").features.shape == (2, 4)


def test_without_h5py_the_package_is_named(vlt5, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"needs h5py: pip install 'ofakit\[regions\]'"):
        HDF5Regions(vlt5)


@pytest.mark.parametrize("names", [("features", "boxes", "img_w", "img_h"), ("x", "bbox", "image_w", "image_h")])
def test_a_folder_with_one_npz_a_picture(tmp_path, names):
    (tmp_path / "val").mkdir()
    np.savez(tmp_path / "val" / "dog.npz", **dict(zip(names, (FEATURES, PIXELS, 100, 200), strict=True)))
    source = open_regions(tmp_path)
    assert isinstance(source, NpzFolder) and len(source) == 1
    np.testing.assert_allclose(source.regions("val/dog").boxes, FRACTIONS, atol=1e-6)
    assert source.regions("val/dog.jpg").features.tolist() == FEATURES.tolist()


def test_one_npz_for_all_with_ids(tmp_path):
    np.savez(
        tmp_path / "all.npz", ids=np.array(["dog", "cat"]), features=np.stack([FEATURES, -FEATURES]),
        boxes=np.stack([PIXELS, PIXELS]), img_w=np.array([100, 100]), img_h=np.array([200, 200]),
    )  # fmt: skip
    source = open_regions(tmp_path / "all.npz")
    assert isinstance(source, NpzFile) and len(source) == 2 and source.width == 4
    assert source.regions("images/cat.png").features.tolist() == (-FEATURES).tolist()
    np.testing.assert_allclose(source.regions("dog").boxes, FRACTIONS, atol=1e-6)


def test_one_npz_with_an_array_a_picture(tmp_path):
    np.savez(tmp_path / "all.npz", **{"dog": FEATURES, "cat/features": -FEATURES, "cat/boxes": np.array(FRACTIONS)})
    source = open_regions(tmp_path / "all.npz")
    assert source.regions("dog.jpg").boxes is None and source.regions("cat.jpg").boxes.shape == (2, 4)


def test_a_store_of_ours_is_known(tmp_path):
    RegionStore.make(tmp_path, 4, {"network": "n"}).add({"dog": Regions(FEATURES)})
    assert open_regions(tmp_path).regions("dog.jpg").features.tolist() == FEATURES.tolist()


def test_what_cannot_be_read_is_refused(tmp_path, vlt5):
    for name in ("a.h5", "a.npz", "a.txt"):
        (tmp_path / name).write_bytes(b"no such thing")
    for path, message in (
        (tmp_path / "none.h5", "there is no such file or folder"),
        (tmp_path / "a.h5", "cannot read regions from"),
        (tmp_path / "a.npz", "cannot read regions from"),
        (tmp_path / "a.txt", r"expected regions as .h5, .npz"),
    ):
        with pytest.raises(UsageError, match=message):
            open_regions(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="expected a store of regions, or .npz files, in .*found none"):
        open_regions(tmp_path / "empty")
    with pytest.raises(UsageError, match="no regions of 'cat.jpg' .*1 images, such as 'COCO_val2014_000000000042'"):
        open_regions(vlt5).regions("cat.jpg")


def test_arrays_of_another_form_are_refused(tmp_path):
    np.savez(tmp_path / "dog.npz", boxes=PIXELS)
    with pytest.raises(UsageError, match="expected an array 'features' in .*dog.npz, found boxes"):
        NpzFolder(tmp_path).regions("dog")
    np.savez(tmp_path / "all.npz", ids=np.array(["a", "b"]), features=FEATURES[None])
    with pytest.raises(UsageError, match=r"expected 2 rows in .*all.npz, .*found others in \['features'\]"):
        NpzFile(tmp_path / "all.npz")
    np.savez(tmp_path / "pickled.npz", ids=np.array([{}], object))
    with pytest.raises(UsageError, match="cannot read regions from"):
        NpzFile(tmp_path / "pickled.npz")

"""What the sections refuse besides unknown keys and wrong types, and whom a component's fault is blamed on."""

from __future__ import annotations

import json

import pytest
from ofakit.config import load_config, parse_config
from ofakit.errors import UsageError

MINIMAL = {"data": {"reader": {"type": "scenes"}}}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"preprocessor": {"patch_image_size": 128, "max_image_size": 64}}, "max_image_size 64 is smaller"),
        ({"preprocessor": {"patch_image_size": 100}}, "patch_image_size: .*multiple of 16, found 100"),
        ({"train": {"optimizer": {"lr": 1e-5}, "lr_scheduler": {"lr_end": 1e-4}}}, "lr_end 0.0001 must be less than"),
        ({"train": {"optimizer": {"lr": 1e-5}, "lr_scheduler": {"lr_end": 1e-5}}}, "lr_scheduler.name = const"),
        ({"data": {"reader": {"type": "scenes"}, "max_bad_fraction": 1.5}}, "max_bad_fraction: .*found 1.5"),
        ({"data": {}}, "missing key 'data.reader'"),
        ({"objectives": []}, "objectives: .*at least 1 item"),
        ({"stages": [{"name": "a/b"}]}, r"stages.0.name: .*found 'a/b'"),
        ({"stages": [{"name": "a", "objectives": []}]}, "stages.0.objectives: .*at least 1 item"),
        ({"generation": {"top_p": 0}}, "generation.top_p: .*greater than 0, found 0"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_their_key(keys, said):
    with pytest.raises(UsageError, match=said):
        parse_config({**MINIMAL, **keys})


@pytest.mark.parametrize("scheduler", [{"name": "const"}, {"name": "cosine"}, {"lr_end": 0}])
def test_only_a_polynomial_decay_has_an_end_that_must_lie_below_the_start(scheduler):
    train = {"optimizer": {"lr": 1e-8}, "lr_scheduler": scheduler}
    assert parse_config({**MINIMAL, "train": train}).train.optimizer.lr == 1e-8


def test_a_crop_as_large_as_the_image_is_none():
    sizes = {"patch_image_size": 64, "max_image_size": 64}
    assert parse_config({**MINIMAL, "preprocessor": sizes}).preprocessor.max_image_size == 64


def test_components_keep_the_keys_of_their_own():
    reader = {"type": "jsonl", "train": "t.jsonl", "splits": {"odd": "o.jsonl"}}
    assert parse_config({"data": {"reader": reader}}).data.reader.model_dump() == reader


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "base.json").write_text(json.dumps({**MINIMAL, "objectives": [{"type": "scst", "rewards": []}]}))
    (tmp_path / "a.json").write_text(json.dumps({"extends": "base.json", "seed": 1}))
    return load_config(tmp_path / "a.json", ["data.reader.images=5"])


def test_the_files_are_known_the_base_last(experiment, tmp_path):
    assert list(experiment.files) == [tmp_path / "a.json", tmp_path / "base.json"]


@pytest.mark.parametrize(
    ("location", "key", "place"),
    [
        (("objectives", 0), "rewards", r" in .*/base\.json"),
        (("data", "reader"), "images", r" \(--set data.reader.images=5\)"),
        (("data", "reader"), None, r" in .*/base\.json"),
    ],
)
def test_a_fault_of_a_component_names_where_it_is_configured(experiment, location, key, place):
    with pytest.raises(UsageError, match=f"^wrong{place}$"), experiment.naming_the_file(*location):
        raise UsageError("wrong", key)


def test_errors_of_another_kind_are_left_alone(experiment):
    with pytest.raises(RuntimeError, match="^broke$"), experiment.naming_the_file("data"):
        raise RuntimeError("broke")

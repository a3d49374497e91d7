"""One JSON file becomes checked objects; faults name the key, the nearest valid one and the file."""

from __future__ import annotations

import json

import pytest
from ofakit.config import json_schema, load_config, parse_config
from ofakit.config.stage_experiments import stage_experiments
from ofakit.errors import UsageError

MINIMAL = {"data": {"reader": {"type": "scenes"}}}


def write(folder, name, values):
    path = folder / name
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_minimal_file_gets_the_defaults(tmp_path):
    config = load_config(write(tmp_path, "a.json", MINIMAL))
    assert config.train.optimizer.type == "AdamW"
    assert [o.type for o in config.objectives] == ["cross_entropy"]
    assert config.evaluation.dataloader.batch_size_per_gpu == 16


def test_extends_merges_objects_and_replaces_other_types(tmp_path):
    write(tmp_path, "base.json", {"data": {"reader": {"type": "scenes", "images": 5}}, "train": {"max_epochs": 4}})
    (tmp_path / "sub").mkdir()
    child = write(
        tmp_path / "sub", "child.json",
        {"extends": "../base.json", "data": {"reader": {"type": "jsonl", "train": "t.jsonl"}}, "seed": 3},
    )  # fmt: skip
    config = load_config(child)
    assert (config.seed, config.train.max_epochs) == (3, 4)
    assert config.data.reader.model_dump() == {"type": "jsonl", "train": "t.jsonl"}


def test_extends_in_a_circle_is_refused(tmp_path):
    write(tmp_path, "a.json", {"extends": "b.json"})
    write(tmp_path, "b.json", {"extends": "a.json"})
    with pytest.raises(UsageError, match="circle: a.json -> b.json -> a.json"):
        load_config(tmp_path / "a.json")


def test_set_takes_json_and_text_and_list_positions(tmp_path):
    path = write(tmp_path, "a.json", MINIMAL | {"objectives": [{"type": "cross_entropy"}]})
    config = load_config(
        path, ["train.max_epochs=9", "work_dir=out/x=1", "model.path=null", "objectives.0.label_smoothing=0.2"]
    )
    assert (config.train.max_epochs, config.work_dir, config.model.path) == (9, "out/x=1", None)
    assert config.objectives[0].label_smoothing == 0.2


@pytest.mark.parametrize("override", ["train.max_epochs", "=3", "objectives.7.type=x", "seed.deep=1"])
def test_set_that_cannot_be_applied_is_refused(tmp_path, override):
    path = write(tmp_path, "a.json", MINIMAL | {"objectives": [{"type": "cross_entropy"}], "seed": 1})
    with pytest.raises(UsageError, match="--set"):
        load_config(path, [override])


def test_unknown_key_names_the_key_the_nearest_and_the_file(tmp_path):
    path = write(tmp_path, "a.json", MINIMAL | {"train": {"optimizer": {"weight_decai": 0.1}}})
    with pytest.raises(UsageError) as caught:
        load_config(path)
    assert "unknown key 'train.optimizer.weight_decai'" in str(caught.value)
    assert "did you mean 'weight_decay'?" in str(caught.value)
    assert str(path) in str(caught.value)


def test_unknown_key_in_the_base_names_the_base(tmp_path):
    base = write(tmp_path, "base.json", MINIMAL | {"trian": {}})
    with pytest.raises(UsageError) as caught:
        load_config(write(tmp_path, "a.json", {"extends": "base.json"}))
    assert "'trian'" in str(caught.value) and "'train'" in str(caught.value) and str(base) in str(caught.value)


def test_missing_key_in_a_list_names_the_file_of_the_list(tmp_path):
    write(tmp_path, "base.json", MINIMAL | {"objectives": [{"type": "cross_entropy"}]})
    child = write(tmp_path, "a.json", {"extends": "base.json", "objectives": [{"label_smoothing": 0.1}]})
    with pytest.raises(UsageError, match=r"missing key 'objectives.0.type' in .*a\.json"):
        load_config(child)
    grandchild = write(tmp_path, "b.json", {"extends": "a.json", "seed": 1})
    with pytest.raises(UsageError, match=r"missing key 'objectives.0.type' in .*a\.json"):
        load_config(grandchild)


def test_unknown_key_of_a_stage_names_the_file(tmp_path):
    write(tmp_path, "base.json", MINIMAL | {"stages": [{"name": "one", "train": {"max_epoch": 1}}]})
    config = load_config(write(tmp_path, "a.json", {"extends": "base.json"}))
    with pytest.raises(UsageError, match=r"stage 1, 'one': .*'max_epochs'.* in .*base\.json"):
        stage_experiments(config)


def test_where_values_came_from_makes_no_other_configuration(tmp_path):
    assert load_config(write(tmp_path, "a.json", MINIMAL)) == load_config(write(tmp_path, "b.json", MINIMAL))


def test_unknown_key_from_set_names_the_override(tmp_path):
    with pytest.raises(UsageError, match=r"--set train.max_epoch=2.*did you mean 'max_epochs'"):
        load_config(write(tmp_path, "a.json", MINIMAL), ["train.max_epoch=2"])


def test_value_out_of_range_says_what_was_found(tmp_path):
    path = write(tmp_path, "a.json", MINIMAL | {"train": {"max_epochs": 0}})
    with pytest.raises(UsageError, match="train.max_epochs: .*greater than or equal to 1, found 0"):
        load_config(path)


def test_missing_file_names_the_nearest(tmp_path):
    write(tmp_path, "quickstart.json", MINIMAL)
    with pytest.raises(UsageError, match="did you mean 'quickstart.json'"):
        load_config(tmp_path / "quickstrat.json")


@pytest.mark.parametrize("text", ["{", "[1]", '{"extends": 3}'])
def test_files_that_are_no_configuration_are_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="a.json"):
        load_config(path)


def test_crop_larger_than_the_image_is_refused():
    with pytest.raises(UsageError, match="max_image_size 64 is smaller"):
        parse_config(MINIMAL | {"preprocessor": {"patch_image_size": 128, "max_image_size": 64}})


def test_resolved_configuration_reads_back_the_same():
    config = parse_config(MINIMAL)
    assert parse_config(json.loads(config.model_dump_json())) == config


def test_schema_describes_every_section():
    assert {"data", "train", "model", "style"} <= set(json_schema()["properties"])

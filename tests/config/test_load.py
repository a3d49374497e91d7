"""One JSON file becomes checked objects; faults name the key, the nearest valid one and the file."""

from __future__ import annotations

import json
import os
import re

import pytest
from ofakit.config import json_schema, load_config, parse_config
from ofakit.config.load import laid_over, read_values
from ofakit.errors import UsageError

MINIMAL = {"data": {"reader": {"type": "scenes"}}}


def write(folder, name, values):
    path = folder / name
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def test_minimal_file_gets_the_defaults(tmp_path):
    config = load_config(write(tmp_path, "a.json", MINIMAL))
    assert config.train.optimizer.type == "AdamW"
    assert config.objectives is None and config.task == "image-captioning"
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


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.max_epochs", "expects key=value, found 'train.max_epochs'"),
        ("=3", "expects key=value, found '=3'"),
        ("objectives.7.type=x", "expected a position from 0 to 0, found '7'"),
        ("objectives.²=x", "expected a position from 0 to 0, found '²'"),
        ("train.hooks.0=x", "expected no position, because the list is empty, found '0'"),
        ("seed.deep=1", "'seed' is 1, which has no keys below it"),
    ],
)
def test_set_that_cannot_be_applied_is_refused(tmp_path, override, said):
    keys = {"objectives": [{"type": "cross_entropy"}], "seed": 1, "train": {"hooks": []}}
    with pytest.raises(UsageError, match=f"--set.*{re.escape(said)}"):
        load_config(write(tmp_path, "a.json", MINIMAL | keys), [override])


def test_set_makes_the_sections_on_its_way(tmp_path):
    values, files = read_values(write(tmp_path, "a.json", {"a": None}), ["a.b.c=[1]", "a.b.c.0=2", "x.y=text"])
    assert values == {"a": {"b": {"c": [2]}}, "x": {"y": "text"}}
    assert files == [tmp_path / "a.json"]


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": {"type": "x", "b": 1}}, {"a": {"c": 2}}, {"a": {"type": "x", "b": 1, "c": 2}}),
        ({"a": {"type": "x", "b": 1}}, {"a": {"type": "x", "b": 2}}, {"a": {"type": "x", "b": 2}}),
        ({"a": {"type": "x", "b": 1}}, {"a": {"type": "y"}}, {"a": {"type": "y"}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    ],
)
def test_objects_are_merged_and_all_else_is_replaced(base, over, merged):
    before = json.dumps([base, over])
    assert laid_over(base, over) == merged
    assert json.dumps([base, over]) == before


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


def test_where_values_came_from_makes_no_other_configuration(tmp_path):
    assert load_config(write(tmp_path, "a.json", MINIMAL)) == load_config(write(tmp_path, "b.json", MINIMAL))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"train": {"learning_rate": 1}}, "did you mean 'train.optimizer.lr'"),
        ({"beam_size": 1}, "did you mean 'generation.num_beams'"),
        ({"train": {"max_grad_norm": 1}}, "did you mean 'train.clip_norm'"),
        ({"output_dir": "x"}, "did you mean 'work_dir' at the top of the file"),
        (
            {"train": {"batchsize": 8}},
            "did you mean 'batch_size'[?] Available: async",
        ),
        ({"lr": 1}, "unknown key 'lr'.*did you mean 'train.optimizer.lr'[?] Available: corpus, data"),
        ({"train": {"work_dirs": "a"}}, "did you mean 'work_dir' at the top of the file[?]"),
        ({"evaluation": {"batch_size_per_gpu": 1}}, "did you mean 'evaluation.dataloader.batch_size_per_gpu'"),
        (
            {"train": {"dataloader": {"batchsize": 8}}},
            "did you mean 'train.batch_size'[?] Available: batch_size_per_gpu",
        ),
        ({"stages": [{"nam": "a", "name": "b"}]}, "unknown key 'stages.0.nam'.*did you mean 'name'"),
        ({"train": {"zzz": 8}}, "unknown key 'train.zzz' in .*a.json: available: async_snapshots"),
    ],
)
def test_unknown_key_names_the_nearest_of_any_section(tmp_path, keys, said):
    with pytest.raises(UsageError, match=said):
        load_config(write(tmp_path, "a.json", MINIMAL | keys))


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


@pytest.mark.parametrize("text", ["{", "[1]", '{"extends": 3}', "\udcff"])
def test_files_that_are_no_configuration_are_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(os.fsencode(text))
    with pytest.raises(UsageError, match="a.json"):
        load_config(path)


def test_places_that_cannot_be_read_are_refused(tmp_path):
    path = write(tmp_path, "a.json", MINIMAL)
    for place in (tmp_path, path / "deeper.json"):
        with pytest.raises(UsageError, match=f"configuration .*{place}"):
            load_config(place)


def test_resolved_configuration_reads_back_the_same():
    config = parse_config(MINIMAL)
    assert parse_config(json.loads(config.model_dump_json())) == config


def test_schema_describes_every_section():
    assert {"data", "train", "model", "style"} <= set(json_schema()["properties"])


def test_the_schema_that_a_file_names_is_for_editors(tmp_path):
    values = {"$schema": "experiment.schema.json", "data": {"reader": {"type": "given"}}}
    (tmp_path / "a.json").write_text(json.dumps(values))
    (tmp_path / "b.json").write_text(json.dumps({"$schema": "x", "extends": "a.json", "seed": 3}))
    assert load_config(tmp_path / "b.json").seed == 3
    assert parse_config(values).data.reader.type == "given"

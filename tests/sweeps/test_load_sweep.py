"""A sweep's file: what is refused, and with which words; where the base is looked for."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps.load_sweep import check_on_base, load_sweep, settings

BASE = {"data": {"reader": {"type": "scenes"}}}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"serch": 1}, "unknown key 'serch' in .*sweep.json: did you mean 'search'"),
        ({"search": {"type": "gird"}}, "unknown search 'gird': did you mean 'grid'.*in .*sweep.json"),
        ({"search": {"runs": 3}}, "expected an object with a type, one of asha, grid, pbt, random, tpe"),
        ({"search": {"type": "random", "rums": 3}}, "unknown key 'search.rums' in .*: did you mean 'runs'"),
        ({"search": {"type": "random"}}, "missing key 'search.runs'"),
        ({"search": {"type": "random", "runs": 0}}, "search.runs: .*found 0"),
        (
            {"search": {"type": "tpe", "runs": 1, "pruning": {"typ": "median"}}},
            "'search.pruning.typ'.*did you mean 'type'",
        ),
        ({"parameters": {"gain": {"low": 1, "hihg": 2}}}, "unknown key 'parameters.gain.hihg'.*did you mean 'high'"),
        ({"parameters": {}}, "parameters: .*at least 1 item"),
        ({"parameters": {"work_dir": ["a"]}}, "every run has its own work_dir"),
        ({"set": {"work_dir": "a"}}, "every run has its own work_dir"),
        ({"metric": "seconds"}, "the metric cannot be called 'seconds'"),
        ({"rule": "most"}, "rule: .*'most'"),
        ({"base": "missing.json"}, "no configuration file .*missing.json"),
        ({"search": {"type": "pbt", "runs": 2, "max_steps": 5, "interval_steps": 5}}, "interval_steps 5 is not less"),
        ({"search": {"type": "asha", "runs": 2, "max_steps": 5, "grace_steps": 6}}, "grace_steps 6 is more"),
    ],
)
def test_a_fault_is_named_with_its_place(write_sweep, keys, said):
    with pytest.raises(UsageError, match=said):
        load_sweep(write_sweep(**keys))


def test_a_fault_of_set_is_blamed_on_set(write_sweep):
    with pytest.raises(UsageError, match=r"parallel: .*found 0 \(--set parallel=0\)"):
        load_sweep(write_sweep(), ["parallel=0"])


def test_the_base_is_looked_for_beside_the_file_that_names_it(tmp_path, write_sweep):
    write_sweep()
    (tmp_path / "deeper").mkdir()
    path = tmp_path / "deeper" / "more.json"
    path.write_text(json.dumps({"extends": "../sweep.json", "parallel": 2}))
    config = load_sweep(path)
    assert (config.base, config.parallel) == (str(tmp_path / "base.json"), 2)


def test_the_resolved_file_loads_as_the_same_sweep(tmp_path, write_sweep):
    config = load_sweep(write_sweep(search={"type": "tpe", "runs": 3}, set={"a": {"b": 1}}))
    again = tmp_path / "elsewhere.json"
    again.write_text(config.model_dump_json(by_alias=True))
    assert load_sweep(again).model_dump() == config.model_dump()


def test_a_run_is_told_the_nested_and_the_dotted_and_its_own_last(write_sweep):
    given = {"train.max_steps": 5, "train": {"optimizer": {"lr": 0.1}}, "data.reader": {"type": "scenes", "size": 8}}
    config = load_sweep(write_sweep(set=given))
    assert settings(config, {"train.max_steps": 7, "style": "ä"}) == [
        "train.max_steps=7",
        "train.optimizer.lr=0.1",
        'data.reader={"type": "scenes", "size": 8}',
        'style="ä"',
    ]


def test_runs_can_share_a_folder_of_the_sweep(write_sweep, tmp_path):
    config = load_sweep(write_sweep(set={"data.image_store": "{sweep}/images"}))
    assert settings(config, {}) == [f'data.image_store="{tmp_path}/sweep/images"']


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"train.optimizer.learning_rate": [1]}, "unknown key 'train.optimizer.learning_rate'"),
        ({"seed": [1, 2, -3]}, "seed: .*-3"),
        ({"train.optimizer.lr": {"low": -1, "high": 1}}, "train.optimizer.lr: .*-1"),
    ],
)
def test_every_value_is_tried_on_the_base_before_the_first_run(tmp_path, write_sweep, parameters, said):
    (tmp_path / "base.json").write_text(json.dumps(BASE))
    with pytest.raises(UsageError, match=said):
        check_on_base(load_sweep(write_sweep(command=None, parameters=parameters)))
    check_on_base(load_sweep(write_sweep(command=None, parameters={"seed": [1, 2]})))


def test_our_own_sweeps_are_good():
    from pathlib import Path

    found = sorted((Path(__file__).parents[2] / "configs" / "sweeps").glob("*.json"))
    assert found
    for path in found:
        check_on_base(load_sweep(path))

"""Each stage is an experiment of its own: its keys over the rest of the file, in a folder of its own."""

from __future__ import annotations

import json

import pytest
from ofakit.config import load_config, parse_config
from ofakit.config.stage_experiments import stage_experiments, stage_folders
from ofakit.errors import UsageError

READER = {"data": {"reader": {"type": "scenes"}}}
STAGED = {
    **READER,
    "work_dir": "out/run",
    "seed": 3,
    "objectives": [{"type": "cross_entropy", "label_smoothing": 0.1}],
    "train": {"max_epochs": 4, "optimizer": {"lr": 1e-3, "weight_decay": 0.5}},
    "stages": [
        {"name": "warm"},
        {
            "name": "scst",
            "objectives": [{"type": "scst"}],
            "train": {"max_epochs": 1, "clip_norm": None, "optimizer": {"lr": 1e-5}},
        },
    ],
}


def test_a_stage_changes_what_it_names_and_nothing_else():
    first, second = stage_experiments(parse_config(STAGED))
    assert (first.work_dir, second.work_dir) == ("out/run/stages/1_warm", "out/run/stages/2_scst")
    assert (first.seed, second.seed) == (3, 3) and first.stages == second.stages == []
    assert [o.model_dump() for o in first.objectives] == STAGED["objectives"]
    assert [o.model_dump() for o in second.objectives] == [{"type": "scst"}]
    assert (first.train.max_epochs, first.train.clip_norm, first.train.optimizer.lr) == (4, 1.0, 1e-3)
    assert (second.train.max_epochs, second.train.clip_norm, second.train.optimizer.lr) == (1, None, 1e-5)
    assert second.train.optimizer.weight_decay == 0.5


def test_a_stage_may_learn_from_other_data():
    joined = {"type": "joined", "readers": [{"type": "scenes"}, {"type": "flickrstyle"}]}
    data = {"reader": joined, "train": "train[:10]"}
    values = {"data": {"reader": {"type": "flickrstyle"}, "root": "folder"}, "stages": [{"name": "a"}]}
    values["stages"].append({"name": "b", "data": data})
    first, second = stage_experiments(parse_config(values))
    assert first.data.reader.type == "flickrstyle" and first.data.train == "train"
    assert second.data.reader.model_dump() == joined and second.data.train == "train[:10]"
    assert second.data.root == "folder"
    values["stages"][1]["data"] = {"trian": "train"}
    with pytest.raises(UsageError, match="stage 2, 'b': unknown key 'data.trian': did you mean 'train'"):
        stage_experiments(parse_config(values))


def test_keys_that_were_not_set_stay_unset():
    (stage,) = stage_experiments(parse_config({**READER, "stages": [{"name": "only"}]}))
    assert stage.model_fields_set == {"data", "work_dir", "train"}


def test_an_experiment_without_stages_has_none():
    assert stage_experiments(parse_config(READER)) == []


def test_unknown_key_of_a_stage_names_the_file(tmp_path):
    base = {**READER, "stages": [{"name": "one", "train": {"max_epoch": 1}}]}
    (tmp_path / "base.json").write_text(json.dumps(base))
    (tmp_path / "a.json").write_text(json.dumps({"extends": "base.json"}))
    config = load_config(tmp_path / "a.json")
    with pytest.raises(UsageError, match=r"stage 1, 'one': .*'max_epochs'.* in .*base\.json"):
        stage_experiments(config)


def test_a_fault_that_a_stage_gets_from_the_rest_of_the_file_names_the_stage():
    config = parse_config({**READER, "stages": [{"name": "a"}, {"name": "b", "train": {"optimizer": {"lr": 1e-9}}}]})
    with pytest.raises(UsageError, match=r"stage 2, 'b': train: lr_scheduler.lr_end 1e-07 must be less than"):
        stage_experiments(config)


def test_a_stage_knows_the_files_of_its_experiment(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(STAGED))
    assert [list(stage.files) for stage in stage_experiments(load_config(path))] == [[path], [path]]


def test_folders_of_stages_that_have_begun_come_in_the_order_of_their_numbers(tmp_path):
    assert stage_folders(tmp_path) == []
    for name in ("10_last", "2_scst", "1_warm_up", "notes_1", "x"):
        (tmp_path / "stages" / name).mkdir(parents=True)
    assert [path.name for path in stage_folders(tmp_path)] == ["1_warm_up", "2_scst", "10_last"]

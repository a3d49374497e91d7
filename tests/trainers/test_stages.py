"""Stages in turn: each from the best model of the one before, none twice, and the last one's models where a run's are.

Trained for real in tests/cli/test_stages.py; here the training only writes what one would.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.config import parse_config
from ofakit.errors import UsageError
from ofakit.trainers.stages import train_stages


@pytest.fixture
def config(tmp_path):
    def make(**changes):
        stages = [{"name": "warm"}, {"name": "cool", "train": {"max_epochs": 9}}]
        usual = {"work_dir": str(tmp_path / "run"), "data": {"reader": {"type": "scenes", "images": 3}}}
        return parse_config({**usual, "stages": stages, **changes})

    return make


class Training:
    """Writes the model directories of a training and gives its scores; `fails_at` breaks the training of that stage."""

    def __init__(self, *models, fails_at=None):
        self.models, self.fails_at, self.seen = models or ("best", "output"), fails_at, []

    def __call__(self, experiment, first):
        work_dir = Path(experiment.work_dir)
        if work_dir.name == self.fails_at:
            raise RuntimeError("killed")
        self.seen.append((work_dir.name, experiment.model.path, first))
        for name in (*self.models, "eval"):
            (work_dir / name).mkdir(parents=True, exist_ok=True)
            (work_dir / name / "from").write_text(work_dir.name)
        return {"cider": float(len(self.seen)), "steps": 10, "seconds": 1.25, "work_dir": str(work_dir)}


def test_each_stage_starts_from_the_best_of_the_one_before(config, tmp_path):
    training, run = Training(), tmp_path / "run"
    result = train_stages(config(), training)
    start = str(run / "stages" / "1_warm" / "best")
    assert training.seen == [("1_warm", None, True), ("2_cool", start, False)]
    assert [(stage["name"], stage["cider"]) for stage in result["stages"]] == [("warm", 1.0), ("cool", 2.0)]
    assert {key: value for key, value in result.items() if key != "stages"} == {
        "cider": 2.0, "steps": 20, "seconds": 2.5, "work_dir": str(run),
    }  # fmt: skip
    for name in ("best", "output", "eval"):
        assert (run / name / "from").read_text() == "2_cool"
    assert json.loads((run / "conf.json").read_text())["stages"][1]["name"] == "cool"


def test_without_a_best_one_the_last_model_is_the_start(config, tmp_path):
    training = Training("output")
    train_stages(config(), training)
    assert training.seen[1][1] == str(tmp_path / "run" / "stages" / "1_warm" / "output")
    assert not (tmp_path / "run" / "best").exists()


def test_a_stage_without_a_model_ends_the_run(config):
    with pytest.raises(UsageError, match="1_warm left no model to continue from: expected best/ or output/ there"):
        train_stages(config(), Training("nothing"))


def test_stages_share_the_data_of_the_run(config, tmp_path):
    seen = []

    def train_one(experiment, first):
        seen.append((experiment.data.root, experiment.data.image_store, experiment.train.max_epochs))
        return Training()(experiment, first)

    train_stages(config(), train_one)
    run = tmp_path / "run"
    assert seen == [(str(run / "scenes"), str(run / "image_store"), epochs) for epochs in (3, 9)]
    own = {"reader": {"type": "scenes"}, "root": str(tmp_path / "data"), "image_store": str(tmp_path / "store")}
    seen.clear()
    train_stages(config(data=own), train_one)
    assert {place[:2] for place in seen} == {(str(tmp_path / "data"), str(tmp_path / "store"))}


def test_a_resumed_run_does_not_train_again_what_is_done(config, tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        train_stages(config(), Training(fails_at="2_cool"))
    again = Training()
    result = train_stages(config(), again, resume=True)
    assert again.seen == [("2_cool", str(tmp_path / "run" / "stages" / "1_warm" / "best"), False)]
    assert [stage["name"] for stage in result["stages"]] == ["warm", "cool"] and result["steps"] == 20
    assert train_stages(config(), (done := Training()), resume=True) == result and done.seen == []


def test_a_new_run_moves_the_earlier_one_aside(config, tmp_path):
    train_stages(config(), Training())
    again = Training()
    train_stages(config(), again)
    assert [name for name, *_ in again.seen] == ["1_warm", "2_cool"]
    assert (tmp_path / "run" / "earlier" / "1" / "stages" / "2_cool" / "result.json").is_file()


def test_only_the_first_process_writes(config, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    result = train_stages(config(), Training())
    assert [stage["name"] for stage in result["stages"]] == ["warm", "cool"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["stages"]
    assert not list(tmp_path.rglob("result.json"))


def test_another_process_may_come_before_the_earlier_run_is_moved_aside(config, monkeypatch):
    train_stages(config(), Training())
    monkeypatch.setenv("RANK", "1")
    training = Training()
    train_stages(config(), training)
    assert [name for name, *_ in training.seen] == ["1_warm", "2_cool"]


def test_a_wrong_key_is_found_before_anything_is_trained_or_moved(config, tmp_path):
    train_stages(config(), Training())
    training = Training()
    with pytest.raises(UsageError, match="stage 2, 'cool'.*did you mean 'max_epochs'"):
        train_stages(config(stages=[{"name": "warm"}, {"name": "cool", "train": {"max_epoch": 1}}]), training)
    assert training.seen == [] and not (tmp_path / "run" / "earlier").exists()

"""Stages: cross entropy, then SCST, from one configuration; each resumable; the best of one starts the next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from ofakit.cli import finetune
from ofakit.config import load_config
from ofakit.config.stage_experiments import stage_experiments
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.trainers.update import Updater

from .conftest import QUICKSTART, SMALL, last_line, overrides

SCST = Path(__file__).resolve().parents[2] / "configs" / "scst" / "quickstart.json"
HOOKS = [
    {"type": "EvaluationHook", "interval": 1},
    {"type": "BestSnapshotHook"},
    {"type": "MetricsFileHook", "interval": 1},
    {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 1},
]


def arguments(work_dir, *more):
    """A small run: a few steps a stage, a snapshot after each."""
    changes = [
        *SMALL, f"work_dir={work_dir}", f"train.hooks={json.dumps(HOOKS)}", "train.max_steps=3",
        "stages.1.train.max_steps=3", "stages.1.train.dataloader.batch_size_per_gpu=4", *more,
    ]  # fmt: skip
    return ["--conf", str(SCST), "--device", "cpu", *(part for change in changes for part in ("--set", change))]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run's directory."""
    work_dir = tmp_path_factory.mktemp("stages") / "run"
    assert finetune.main(arguments(work_dir)) == 0
    return work_dir


def weights(folder):
    return load_bundle(folder).model.state_dict()


def test_last_line_lists_the_stages_with_their_scores(run, capsys):
    assert finetune.main([*arguments(run), "--resume"]) == 0
    result = last_line(capsys.readouterr().out)
    assert [stage["name"] for stage in result["stages"]] == ["cross_entropy", "scst"]
    for stage in result["stages"]:
        assert {"cider", "style_accuracy", "bleu4", "rouge_l", "steps"} <= set(stage)
    assert result["work_dir"] == str(run) and result["cider"] == result["stages"][1]["cider"]
    assert result["steps"] == 6 and "name" not in result
    assert json.loads((run / "eval" / "test.json").read_text())["cider"] == result["cider"]


def test_scst_starts_from_the_best_of_cross_entropy_and_moves_it(run):
    first, second = run / "stages" / "1_cross_entropy", run / "stages" / "2_scst"
    conf = json.loads((second / "conf.json").read_text())
    assert conf["model"]["path"] == str(first / "best") and conf["objectives"][0]["type"] == "scst"
    assert conf["train"]["freeze"] == ["visual"] and conf["seed"] == load_config(SCST).seed
    start, end, published = weights(first / "best"), weights(second / "output"), weights(run / "output")
    backbone = [name for name in start if "embed_images" in name]
    assert backbone and all(torch.equal(start[name], end[name]) for name in backbone)
    assert any(not torch.equal(start[name], end[name]) for name in start)
    assert all(torch.equal(end[name], published[name]) for name in end)
    logged = [json.loads(line) for line in (second / "metrics.jsonl").read_text().splitlines()]
    assert {"reward", "reward/cider_d", "reward/style_accuracy", "nll"} <= set(logged[0])
    assert not (second / "image_store").exists() and (run / "image_store").exists()


def test_interrupted_in_the_second_stage_it_ends_with_the_same_bits(run, tmp_path, monkeypatch, capsys):
    work_dir = tmp_path / "parts"
    update, steps = Updater.__call__, []

    def stops(self, batches, step):
        if len(steps) == 4:
            raise RuntimeError("killed")
        steps.append(step)
        return update(self, batches, step)

    with monkeypatch.context() as patch:
        patch.setattr(Updater, "__call__", stops)
        assert finetune.main(arguments(work_dir)) == 1
    assert steps == [0, 1, 2, 0] and not (work_dir / "stages" / "2_scst" / "result.json").exists()
    counted = []
    monkeypatch.setattr(Updater, "__call__", lambda *a: counted.append(a[2]) or update(*a))
    assert finetune.main([*arguments(work_dir), "--resume"]) == 0
    assert counted == [1, 2]
    whole, parts = weights(run / "output"), weights(work_dir / "output")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_stage_lays_its_keys_over_the_experiment(tmp_path):
    config = load_config(SCST, ["train.clip_norm=0.5", f"work_dir={tmp_path}"])
    first, second = stage_experiments(config)
    assert first.train.clip_norm == second.train.clip_norm == 0.5
    assert (first.objectives[0].type, second.objectives[0].type) == ("cross_entropy", "scst")
    assert second.train.optimizer.lr == 1e-4 and second.train.optimizer.betas == first.train.optimizer.betas
    again = stage_experiments(load_config_of(config, tmp_path))
    assert [e.model_dump() for e in again] == [first.model_dump(), second.model_dump()]


def load_config_of(config, folder):
    """What conf.json makes of a configuration."""
    (folder / "conf.json").write_text(config.model_dump_json())
    return load_config(folder / "conf.json")


def test_a_wrong_key_in_a_stage_names_the_stage_before_anything_is_trained(tmp_path, capsys):
    config = load_config(SCST, ["stages.1.train.max_epoch=1"])
    with pytest.raises(UsageError, match="stage 2, 'scst'.*max_epoch.*did you mean 'max_epochs'"):
        stage_experiments(config)
    assert finetune.main(arguments(tmp_path / "run", "stages.1.train.max_epoch=1")) == 2
    assert not (tmp_path / "run" / "stages").exists()
    assert "did you mean 'max_epochs'" in capsys.readouterr().err


def test_a_stage_whose_name_is_no_folder_is_refused():
    with pytest.raises(UsageError, match="stages.0.name"):
        load_config(SCST, ["stages.0.name=../x"])


def near_the_start(work_dir, checkpoint):
    """SCST held near the weights of a checkpoint, three steps with a snapshot after each."""
    objective = {"type": "scst", "samples": 2, "sample": True, "kl_weight": 0.5}
    changes = [f"objectives={json.dumps([objective])}", f"train.hooks={json.dumps(HOOKS)}", "train.max_steps=3"]
    given = ["--conf", str(QUICKSTART), "--device", "cpu", "--checkpoint", str(checkpoint / "best")]
    return [*given, *overrides(work_dir, *changes)]


def test_a_resumed_run_is_held_near_the_checkpoint_that_it_was_started_with(run, tmp_path, monkeypatch):
    """--resume alone, without --checkpoint and after that is gone, ends with the bits of an undisturbed run."""
    first = tmp_path / "first"
    shutil.copytree(run / "stages" / "1_cross_entropy", first)
    assert finetune.main(near_the_start(tmp_path / "whole", first)) == 0
    update = Updater.__call__

    def stops(self, batches, step):
        if step == 1:
            raise RuntimeError("killed")
        return update(self, batches, step)

    with monkeypatch.context() as patch:
        patch.setattr(Updater, "__call__", stops)
        assert finetune.main(near_the_start(tmp_path / "parts", first)) == 1
    shutil.rmtree(first)
    conf = str(tmp_path / "parts" / "conf.json")
    assert finetune.main(["--conf", conf, "--device", "cpu", "--resume"]) == 0
    whole, parts = weights(tmp_path / "whole" / "output"), weights(tmp_path / "parts" / "output")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_that_cannot_find_its_starting_model_says_so(run, tmp_path, capsys):
    assert finetune.main(near_the_start(tmp_path / "run", run / "stages" / "1_cross_entropy")) == 0
    shutil.rmtree(tmp_path / "run" / "starting_model")
    assert finetune.main(["--conf", str(tmp_path / "run" / "conf.json"), "--device", "cpu", "--resume"]) == 2
    assert "starting_model" in capsys.readouterr().err

"""tools/finetune.py: its last line, its exit codes, resume, evaluation, and what becomes of an earlier run."""

from __future__ import annotations

import json
import math
import re
import shutil
from contextlib import contextmanager

import pytest
import torch
from ofakit.cli import evaluate, finetune
from ofakit.errors import UsageError
from ofakit.hub import load_bundle, save_bundle
from ofakit.models.adapters import trainable_share

from .conftest import QUICKSTART, last_line, overrides


def test_last_line_and_run_directory(run, tmp_path, capsys):
    assert finetune.main(["--conf", str(run / "conf.json"), "--set", f"work_dir={tmp_path / 'again'}"]) == 0
    result = last_line(capsys.readouterr().out)
    assert {"work_dir", "cider", "style_accuracy", "cider_shuffled", "steps", "seconds"} <= set(result)
    assert result["work_dir"] == str(tmp_path / "again") and result["steps"] == 6
    first = json.loads((run / "eval" / "test.json").read_text())
    assert first == json.loads((tmp_path / "again" / "eval" / "test.json").read_text())
    for name in ("conf.json", "train.log", "metrics.jsonl", "tensorboard", "best", "output", "eval/test.html"):
        assert (run / name).exists(), name


def test_a_model_that_gives_nan_is_said_so_with_exit_code_1(run, tmp_path, capsys):
    broken = tmp_path / "broken"
    bundle = load_bundle(run / "best")
    with torch.no_grad():
        bundle.model.encoder.image_proj.bias[0] = math.nan
    save_bundle(bundle, broken)
    conf = ["--conf", str(run / "conf.json"), "--set", f"work_dir={tmp_path / 'work'}", "--checkpoint", str(broken)]
    for tool in (evaluate.main, lambda arguments: finetune.main(["eval", *arguments])):
        assert tool(conf) == 1
        printed = capsys.readouterr()
        assert re.search(r"error: the model gave nothing for (\d+) of \1 examples of test, .* NaN", printed.err)
        assert "Traceback" not in printed.err and not printed.out.strip()
    strict = json.loads((tmp_path / "work" / "eval" / "test.predictions.jsonl").read_text().splitlines()[0])
    assert strict["caption"] == "" and strict["score"] is None


def test_evaluation_of_the_best_model_repeats_its_scores(run, capsys):
    test = json.loads((run / "eval" / "test.json").read_text())
    assert finetune.main(["eval", "--conf", str(run / "conf.json"), "--checkpoint", str(run / "best")]) == 0
    assert last_line(capsys.readouterr().out)["rouge_l"] == test["rouge_l"]
    assert evaluate.main(["--conf", str(run / "conf.json")]) == 0
    assert last_line(capsys.readouterr().out)["rouge_l"] == test["rouge_l"]


def test_without_a_best_model_both_tools_score_the_last_one(run, tmp_path, capsys):
    work_dir = tmp_path / "run"
    shutil.copytree(run / "output", work_dir / "output")
    conf = ["--conf", str(run / "conf.json"), "--set", f"work_dir={work_dir}"]
    scores = []
    for tool in (evaluate.main, lambda arguments: finetune.main(["eval", *arguments])):
        assert tool(conf) == 0
        printed = capsys.readouterr()
        assert f"scoring the last model, {work_dir / 'output'}" in printed.err
        scores.append(last_line(printed.out)["rouge_l"])
    assert scores[0] == scores[1]
    shutil.rmtree(work_dir / "output")
    assert finetune.main(["eval", *conf]) == 2 and "--checkpoint" in capsys.readouterr().err


def test_resume_without_a_snapshot_says_so_and_a_work_dir_that_is_a_file_is_refused(tmp_path, capsys):
    start = ["--conf", str(QUICKSTART), *overrides(tmp_path / "run", "train.max_steps=1"), "--resume"]
    assert finetune.main(start) == 0
    assert "no snapshot in" in (tmp_path / "run" / "train.log").read_text()
    (tmp_path / "file").write_text("")
    assert finetune.main([*start, "--set", f"work_dir={tmp_path / 'file'}"]) == 2
    message = capsys.readouterr().err
    assert "expected work_dir to be a folder" in message and "Traceback" not in message


@pytest.mark.parametrize("wait", [False, True])
def test_a_second_run_in_a_directory_is_refused_at_once_or_waits(tmp_path, capsys, monkeypatch, wait):
    asked = []

    @contextmanager
    def taken(folder, noun, cure, wait, nested):
        asked.append((folder, wait))
        raise UsageError(f"another run is using {folder}: process 1 on host; {cure}")
        yield

    monkeypatch.setattr("ofakit.trainers.run_directory.only_one", taken)
    start = ["--conf", str(QUICKSTART), *overrides(tmp_path / "run"), *(["--wait"] if wait else [])]
    assert finetune.main(start) == 2 and asked == [(tmp_path / "run", wait)]
    assert "another run is using" in capsys.readouterr().err
    assert not list((tmp_path / "run").iterdir())


def test_finished_run_can_be_resumed_with_more_epochs(run, tmp_path, capsys):
    work_dir = tmp_path / "more"
    start = ["--conf", str(QUICKSTART), *overrides(work_dir)]
    assert finetune.main(start) == 0
    assert finetune.main([*start, "--resume", "--set", "train.max_steps=8"]) == 0
    assert last_line(capsys.readouterr().out)["steps"] == 8
    lines = [json.loads(line) for line in (work_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "evaluation/cider" in line] == [6, 8]


def test_earlier_run_is_moved_aside(run, capsys):
    before = (run / "eval" / "test.json").read_text()
    assert finetune.main(["--conf", str(run / "conf.json"), "--max_epoches", "1", "--batch_size", "4"]) == 0
    assert (run / "earlier" / "1" / "eval" / "test.json").read_text() == before
    assert json.loads((run / "conf.json").read_text())["train"]["dataloader"]["batch_size_per_gpu"] == 4


def test_start_from_a_model_directory_keeps_what_it_was_taught(run, tmp_path, capsys):
    arguments = [*overrides(tmp_path / "next"), "--set", f"model.path={run / 'output'}", "--set", "train.max_steps=1"]
    assert finetune.main(["--conf", str(QUICKSTART), *arguments]) == 0
    conf = json.loads((tmp_path / "next" / "conf.json").read_text())
    assert conf["preprocessor"]["patch_image_size"] == 64


@pytest.mark.parametrize(
    "change, words",
    [
        ({"trian": {}}, ["'trian'", "did you mean 'train'"]),
        ({"objectives": [{"type": "crossentropy"}]}, ["crossentropy", "did you mean 'cross_entropy'"]),
        ({"objectives": [{"type": "cross_entropy", "smoothing": 1}]}, ["smoothing", "label_smoothing"]),
        ({"data": {"reader": {"type": "scene"}}}, ["did you mean 'scenes'"]),
        ({"data": {"reader": {"type": "scenes", "picturs": 3}}}, ["picturs", "images"]),
        ({"data": {"reader": {"type": "flickrstyle"}, "root": "nowhere"}}, ["nowhere"]),
        ({"model": {"path": "no/such/place"}}, ["no model directory"]),
        ({"model": {"tokenizer": {"train_vocab_size": None}}}, ["model.tokenizer.path"]),
        ({"model": {"config": {"d_modell": 3}}}, ["d_modell"]),
        ({"model": {"config": {"use_ofasys": True}}}, ["use_ofasys"]),
        (
            {"train": {"lr_scheduler": {"name": "polynomial_decay", "lr_end": 1}}},
            ["lr_end 1 ", "less than optimizer.lr"],
        ),
        ({"train": {"hooks": [{"type": "SnapshotHook", "intervall": 1}]}}, ["'intervall'", "did you mean 'interval'"]),
    ],
)
def test_bad_configuration_ends_with_2_and_says_what_would_do(tmp_path, capsys, change, words):
    conf = tmp_path / "bad.json"
    conf.write_text(json.dumps({"extends": str(QUICKSTART), "work_dir": str(tmp_path / "run"), **change}))
    small = ["--set", "train.max_steps=1"]
    if "data" not in change:
        small += ["--set", "data.reader.images=4", "--set", "data.reader.val=4", "--set", "data.reader.test=4"]
    assert finetune.main(["--conf", str(conf), *small]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for word in words:
        assert word in message


def test_adapters_are_trained_saved_read_and_scored(tmp_path, capsys):
    adapter = '{"type": "bottleneck", "layer_norms": false, "also": ["embeddings"]}'
    start = overrides(tmp_path / "run", f"model.adapter={adapter}")
    assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *start]) == 0
    printed = capsys.readouterr()
    result = last_line(printed.out)
    bundle = load_bundle(tmp_path / "run" / "best")
    assert 0 < result["trainable_share"] < 1 and result["trainable_share"] == trainable_share(bundle.model)
    assert f"{100 * result['trainable_share']:.2f} % of the parameters are trained" in printed.err
    assert bundle.model.config.adapter["also"] == ["embeddings"]
    conf = ["--conf", str(tmp_path / "run" / "conf.json")]
    assert finetune.main(["eval", *conf]) == 0
    assert last_line(capsys.readouterr().out)["rouge_l"] == result["rouge_l"]
    again = [*conf, "--set", f"work_dir={tmp_path / 'again'}", "--set", f"model.path={tmp_path / 'run' / 'best'}"]
    one_step = ["--set", "train.max_steps=1", "--set", "train.hooks=[]"]
    assert finetune.main([*again, *one_step]) == 0
    assert finetune.main([*again, "--set", 'model.adapter={"type": "bottleneck", "reduction": 4}']) == 2
    assert "that differ in also, layer_norms, reduction" in capsys.readouterr().err
    assert finetune.main([*conf, "--set", 'model.adapter={"type": "bottelneck"}', *one_step]) == 2
    assert "unknown adapter 'bottelneck'" in capsys.readouterr().err


def test_only_what_learns_moves(tmp_path):
    """The frozen weights of a run with adapters are those that it started with, to the bit."""
    start = overrides(
        tmp_path / "plain", "train.max_steps=1", "train.optimizer.lr=1e-30", "train.lr_scheduler.name=const"
    )
    assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *start]) == 0
    adapted = overrides(tmp_path / "run", "train.max_steps=3", f"model.path={tmp_path / 'plain' / 'output'}")
    assert finetune.main(
        ["--conf", str(QUICKSTART), "--device", "cpu", *adapted, "--set", 'model.adapter={"type": "lora", "rank": 2}']
    ) == 0  # fmt: skip
    before = load_bundle(tmp_path / "plain" / "output").model.state_dict()
    model = load_bundle(tmp_path / "run" / "output").model
    moved = {
        name for name, value in model.state_dict().items() if name not in before or not torch.equal(value, before[name])
    }
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert moved and moved <= learns and any("adapter" in name for name in moved)

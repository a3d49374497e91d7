"""tools/evaluate.py: the scores of a model on a split, the scores of two files, and what does not go together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ofakit.cli import evaluate
from ofakit.scores import document_frequency

from .conftest import last_line

TOOL = Path(__file__).resolve().parents[2] / "tools" / "evaluate.py"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Arguments for two predictions and their references, without Java."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    captions = {"1": ("a dog runs", ["a dog runs", "the dog"]), "2": ("a cat", ["a red cat", "two cats"])}
    for name, key, column in (("p", "caption", 0), ("r", "captions", 1)):
        rows = [{"id": image, key: texts[column]} for image, texts in captions.items()]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return ["--predictions", str(tmp_path / "p.jsonl"), "--references", str(tmp_path / "r.jsonl")]


def test_a_model_is_scored_as_its_run_scored_it(run, capsys):
    assert evaluate.main(["--conf", str(run / "conf.json")]) == 0
    result = last_line(capsys.readouterr().out)
    assert (result.pop("checkpoint"), result.pop("split")) == (str(run / "best"), "test")
    assert result == json.loads((run / "eval" / "test.json").read_text())


def test_two_processes_share_the_work_and_only_the_first_prints(run):
    alone = json.loads((run / "eval" / "test.json").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    command = [sys.executable, TOOL, "--conf", run / "conf.json", "--device", "cpu"]
    runs = [
        subprocess.Popen(command, env={**os.environ, **world, "RANK": rank}, stdout=subprocess.PIPE, text=True)
        for rank in ("0", "1")
    ]
    first, second = (process.communicate(timeout=300)[0] for process in runs)
    assert [process.returncode for process in runs] == [0, 0] and second == ""
    assert {name: value for name, value in last_line(first).items() if name in alone} == alone


def test_another_model_is_scored_on_another_split(run, tmp_path, capsys):
    arguments = ["--conf", str(run / "conf.json"), "--set", f"data.root={run / 'scenes'}"]
    arguments += ["--set", f"work_dir={tmp_path}", "--checkpoint", str(run / "output"), "--split", "val"]
    assert evaluate.main(arguments) == 0
    result = last_line(capsys.readouterr().out)
    assert (result["checkpoint"], result["split"], result["captions"]) == (str(run / "output"), "val", 16)
    rows = [json.loads(line) for line in (tmp_path / "eval" / "val.predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 16 and all(row["id"].startswith("val_") for row in rows)


def test_two_files_are_scored_with_or_without_intervals(files, tmp_path, capsys):
    assert evaluate.main([*files, "--bootstrap", "20"]) == 0
    plain = last_line(capsys.readouterr().out)
    assert plain["items"] == 2 and plain["bleu1"] == pytest.approx(1.0) and 0 < plain["rouge_l"] < 1
    low, high = plain["intervals"]["rouge_l"]
    assert low <= plain["rouge_l"] <= high
    document_frequency([["a dog"], ["a dog"], ["a bird"]]).save(tmp_path / "df.npz")
    assert evaluate.main([*files, "--bootstrap", "0", "--document-frequency", str(tmp_path / "df.npz")]) == 0
    counted = last_line(capsys.readouterr().out)
    assert "intervals" not in counted and counted["cider_d"] != plain["cider_d"] and counted["cider"] == plain["cider"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pass --conf FILE to score a model, or --predictions FILE --references FILE"),
        (["--predictions", "p.jsonl"], "in UTF-8 in p.jsonl"),
        (["--references", "r.jsonl"], "--references needs --predictions"),
        (["--predictions", "p", "--references", "r", "--conf", "c.json"], "pass either --conf FILE"),
        (["--conf", "c.json", "--document-frequency", "x.npz"], "--document-frequency needs --predictions"),
        (["--conf", "nowhere.json"], "no configuration file"),
        (
            ["--predictions", "nowhere", "--references", "r.jsonl"],
            "in UTF-8 in nowhere, found: No such file",
        ),
    ],
)
def test_what_does_not_go_together_is_bad_usage(arguments, message, capsys):
    assert evaluate.main(arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err and not printed.out


def test_a_split_without_examples_names_those_there_are(run, capsys):
    assert evaluate.main(["--conf", str(run / "conf.json"), "--set", "data.test=null"]) == 2
    assert "available: train, val" in capsys.readouterr().err

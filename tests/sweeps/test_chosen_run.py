"""Runs are compared on validation data, and the chosen one alone is scored on the test data, once."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from ofakit.sweeps.chosen_run import scores_on_test
from ofakit.sweeps.load_sweep import load_sweep
from ofakit.sweeps.record import Record
from ofakit.sweeps.sweep import run_sweep

PRETENDED = [sys.executable, str(Path(__file__).with_name("pretend_finetune.py"))]


def test_a_sweep_chooses_on_val_and_reports_test_once(write_sweep, monkeypatch):
    config = load_sweep(write_sweep(command=None, parameters={"gain": [1.0, 3.0, 2.0]}))
    asked = []
    monkeypatch.setattr("ofakit.sweeps.sweep.scores_on_test", lambda *a: asked.append(a[1]) or scores_on_test(*a))
    result = run_sweep(config, PRETENDED)
    best = result["best"]
    assert (best["parameters"], best["cider"], best["split"]) == ({"gain": 3.0}, 9.0, "val")
    assert result["test"] == {"split": "test", "cider": 4.5}
    assert all("test" not in run for run in result["runs"])
    starts = (Path(config.work_dir) / "runs" / "0" / "starts.jsonl").read_text()
    assert json.loads(starts)["given"]["evaluation.final_split"] == "val"
    (Path(config.work_dir) / "runs" / "1" / "best" / "config.json").unlink()  # a second look would fail now
    assert run_sweep(config, PRETENDED)["test"] == result["test"] and len(asked) == 2


def test_a_command_of_the_sweeps_own_is_left_alone(write_sweep):
    result = run_sweep(load_sweep(write_sweep()), PRETENDED)
    assert "test" not in result and "split" not in result["best"]


def run_in(tmp_path):
    return Record(0, {}, "done", str(tmp_path), 0.0, result={"cider": 1.0})


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import json; print(json.dumps({'split': 'val'}))", None),
        ("raise SystemExit(3)", "exit code 3; see .*test.stderr.log"),
        ("print('nothing')", "expected one JSON object as the last line"),
    ],
)
def test_a_run_that_cannot_be_scored_says_why(tmp_path, program, expected):
    found = scores_on_test(tmp_path, run_in(tmp_path), [sys.executable, "-c", program])
    if expected is None:
        assert found is None
    else:
        assert re.search(expected, found["error"])
    assert not (tmp_path / "test.json").exists()

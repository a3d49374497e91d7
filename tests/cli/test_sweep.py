"""tools/sweep.py from outside: the last line, exit codes, and the shell's way in tools/sweep.sh."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ofakit.cli import sweep
from ofakit.scores.measures import MEASURES

ROOT = Path(__file__).resolve().parents[2]
PRETENDED = ROOT / "tests" / "sweeps" / "pretend_finetune.py"


def tool(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, ROOT / "tools" / "sweep.py", *arguments], capture_output=True, text=True)


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "base.json").write_text("{}")
    values = {"base": "base.json", "work_dir": "not/here", "command": ["python", str(PRETENDED)]}
    values |= {"parameters": {"gain": [1.0, 2.0]}, "search": {"type": "grid"}}
    (tmp_path / "sweep.json").write_text(json.dumps(values))
    return str(tmp_path / "sweep.json")


def test_the_last_line_has_the_runs_and_the_best(conf, tmp_path):
    done = tool("--conf", conf, "--set", f"work_dir={tmp_path}/out", "--set", "parallel=2")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    result = json.loads(done.stdout)
    assert [(r["parameters"], r["cider"]) for r in result["runs"]] == [({"gain": 1.0}, 3.0), ({"gain": 2.0}, 6.0)]
    assert result["best"]["work_dir"] == f"{tmp_path}/out/runs/1"
    with open(tmp_path / "out" / "results.csv", encoding="utf-8", newline="") as file:
        assert [row["cider"] for row in csv.DictReader(file)] == ["3.0", "6.0"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--set", "paralel=2"], 2, "unknown key 'paralel' (--set paralel=2): did you mean 'parallel'"),
        (["--engine", "slurm"], 2, "unknown engine 'slurm'"),
        (["--set", "set.fail=boom", "--set", "set.fail_at=1"], 1, "none of 2 runs finished"),
    ],
)
def test_exit_codes(conf, tmp_path, arguments, code, said):
    done = tool("--conf", conf, "--set", f"work_dir={tmp_path}/out", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_command_a_run_is_the_tool_that_fine_tunes():
    from ofakit.cli.sweep import FINETUNE

    done = subprocess.run([sys.executable, "-c", FINETUNE, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: finetune.py") and "--resume" in done.stdout


TABLE = 'gain,"train.max_steps",note\n1.5,3,"[1, 2]"\n2,4,plain\n0.5,3,"say ""hi"", ok"\n'
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")


def shell(tmp_path, *more: str, **environment: str) -> subprocess.CompletedProcess:
    (tmp_path / "base.json").write_text("{}")
    command = [ROOT / "tools" / "sweep.sh", tmp_path / "table.csv", tmp_path / "base.json", tmp_path / "out", *more]
    variables = {**os.environ, "FINETUNE": f"{sys.executable} {PRETENDED}", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=variables)


@needs_jq
def test_the_shell_runs_a_table_and_keeps_the_best(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    done = shell(tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert [r["cider"] for r in result["runs"]] == [4.5, 8, 1.5]
    assert result["best"] == result["runs"][1]
    assert result["runs"][0]["parameters"] == {"gain": 1.5, "train.max_steps": 3, "note": [1, 2]}
    assert result["runs"][2]["parameters"]["note"] == 'say "hi", ok'
    told = json.loads((Path(result["runs"][2]["work_dir"]) / "starts.jsonl").read_text())["given"]
    assert told["note"] == 'say "hi", ok'
    assert [str(path.parent) for path in (tmp_path / "out").glob("runs/*/best")] == [result["best"]["work_dir"]]
    with open(tmp_path / "out" / "results.csv", encoding="utf-8", newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["done"] * 3


@needs_jq
def test_the_shell_skips_what_is_done_records_failures_and_takes_another_rule(tmp_path):
    (tmp_path / "table.csv").write_text("gain,fail_at,fail\r\n1,99,boom\r\n2,1,boom\r\n3,99,boom\r\n")
    first = json.loads(shell(tmp_path, RULE="min", KEEP="1").stdout.splitlines()[-1])
    assert [r["status"] for r in first["runs"]] == ["done", "failed", "done"]
    assert first["runs"][1]["cider"] is None
    assert first["best"]["parameters"]["gain"] == 1
    assert len(list((tmp_path / "out").glob("runs/*/best"))) == 2
    with open(tmp_path / "table.csv", "a", encoding="utf-8") as file:
        file.write("0.5,99,boom\r\n")
    second = json.loads(shell(tmp_path, RULE="min", KEEP="1").stdout.splitlines()[-1])
    assert second["runs"][:3] == first["runs"] and second["best"]["parameters"]["gain"] == 0.5
    assert [len(path.read_text().splitlines()) for path in (tmp_path / "out").glob("runs/*/starts.jsonl")] == [1] * 4


@needs_jq
def test_the_shell_goes_on_after_a_kill(tmp_path):
    (tmp_path / "table.csv").write_text("gain,seconds_a_step\n1,0\n2,0.2\n3,0\n")
    (tmp_path / "base.json").write_text("{}")
    command = [ROOT / "tools" / "sweep.sh", tmp_path / "table.csv", tmp_path / "base.json", tmp_path / "out"]
    variables = {**os.environ, "FINETUNE": f"{sys.executable} {PRETENDED}"}
    sweep = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folders = tmp_path / "out" / "runs"
    while len(list(folders.glob("*/checkpoints/step_1/state.json"))) < 2:
        assert sweep.poll() is None
        time.sleep(0.005)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    result = json.loads(shell(tmp_path).stdout.splitlines()[-1])
    assert [r["cider"] for r in result["runs"]] == [3, 6, 9]
    starts = sorted(len(path.read_text().splitlines()) for path in folders.glob("*/starts.jsonl"))
    assert starts == [1, 1, 2]


@needs_jq
@pytest.mark.parametrize(
    ("table", "environment", "said"),
    [
        (None, {}, "no table of parameters"),
        ("gain\n1\n", {"RULE": "most"}, "RULE must be max or min, found 'most'"),
        ("gain,seed\n1\n", {}, "expected 2 cells"),
    ],
)
def test_the_shell_says_what_is_wrong(tmp_path, table, environment, said):
    if table is not None:
        (tmp_path / "table.csv").write_text(table)
    done = shell(tmp_path, **environment)
    assert done.returncode == 2 and said in done.stderr


def test_help_names_metrics_that_there_are():
    named = re.findall(r"metric=(\w+)", sweep.EXAMPLES)
    assert named and set(named) <= set(MEASURES)


def test_the_shells_way_chooses_on_val_too_and_reads_tables_of_spreadsheets(tmp_path):
    if shutil.which("jq") is None:
        pytest.skip("tools/sweep.sh needs jq")
    shutil.copy(ROOT / "tools" / "sweep.sh", tmp_path)
    shutil.copy(PRETENDED, tmp_path / "finetune.py")
    (tmp_path / "table.csv").write_bytes(b"\xef\xbb\xbfgain,train.max_steps\r\n1.5,3\r\n2,4\r\n")
    (tmp_path / "base.json").write_text("{}")
    command = ["bash", tmp_path / "sweep.sh", tmp_path / "table.csv", tmp_path / "base.json", tmp_path / "out"]
    environment = {key: value for key, value in os.environ.items() if key != "FINETUNE"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout.splitlines()[-1])
        assert (result["best"]["parameters"], result["best"]["split"]) == ({"gain": 2, "train.max_steps": 4}, "val")
        assert result["test"] == {"split": "test", "cider": 4.0}

"""What tools share: exit codes, messages without a traceback, the last line, arguments and outputs."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ofakit.cli._common import (
    add_config_arguments,
    files_read,
    model_to_score,
    output_file,
    print_json,
    run_tool,
    share,
    tool_parser,
)
from ofakit.config import parse_config
from ofakit.errors import OfakitError, UsageError
from ofakit.files import SaveError


@pytest.mark.parametrize(
    "error, code, traceback",
    [
        (UsageError("no such key"), 2, False),
        (SaveError("cannot save best: No space left"), 1, False),
        (OfakitError("5 steps in a row were not finite"), 1, False),
        (RuntimeError("index out of range"), 1, True),
        (KeyboardInterrupt("interrupted"), 130, False),
    ],
)
def test_exit_code_and_message(capsys, error, code, traceback):
    def run(args):
        raise error

    assert run_tool(tool_parser("A tool."), run, []) == code
    printed = capsys.readouterr()
    assert not printed.out and str(error) in printed.err
    assert ("Traceback" in printed.err) == traceback


def test_overrides_without_a_configuration_are_refused(capsys):
    parser = tool_parser("A tool.")
    add_config_arguments(parser, required=False)
    assert run_tool(parser, lambda args: {}, ["--set", "seed=1"]) == 2
    assert "--set overrides keys of a configuration: pass --conf FILE as well" in capsys.readouterr().err
    assert run_tool(parser, lambda args: {}, ["--conf", "conf.json", "--set", "seed=1"]) == 0


@pytest.mark.parametrize("text", ["-0.1", "1.5", "nan", "half"])
def test_a_share_is_from_0_to_1(text):
    assert (share("0"), share("0.25"), share("1")) == (0, 0.25, 1)
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected a number from 0 to 1, found '{text}'"):
        share(text)


def test_the_last_line_is_json_for_every_reader(capsys):
    print_json({"cider": float("nan"), "intervals": {"cider": (float("-inf"), 1.5)}, "image": "caf\udce9.png", "n": 3})
    line = capsys.readouterr().out
    assert line.endswith("\n") and line.count("\n") == 1
    found = json.loads(line, parse_constant=pytest.fail)
    assert found == {"cider": None, "intervals": {"cider": [None, 1.5]}, "image": "caf\ufffd.png", "n": 3}


def test_a_result_is_the_last_line_and_none_prints_nothing(capsys):
    assert run_tool(tool_parser("A tool."), lambda args: {"done": 1}, []) == 0
    assert capsys.readouterr().out == '{"done": 1}\n'
    assert run_tool(tool_parser("A tool."), lambda args: None, []) == 0
    assert capsys.readouterr().out == ""


def test_a_closed_stdout_ends_the_tool_with_one_sentence():
    code = "from ofakit.cli._common import *; exit(run_tool(tool_parser('A tool.'), lambda args: {'done': 1}, []))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "-c: error: stdout was closed before the tool finished\n")


@pytest.mark.parametrize("command", [[], ["look"]])
def test_options_are_not_abbreviated_in_subcommands_either(command, capsys):
    parser = tool_parser("A tool.", "examples:\n  tool look --conf a.json")
    add_config_arguments(parser, required=False)
    add_config_arguments(parser.add_subparsers(dest="command").add_parser("look", description="a\nb"), required=False)
    assert parser.parse_args([*command, "--conf", "a.json", "--set", "x=1", "--set", "y=2"]).overrides == ["x=1", "y=2"]
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args([*command, "--con=a.json"])
    assert "unrecognized arguments: --con=a.json" in capsys.readouterr().err
    assert "examples:\n  tool look --conf a.json" in parser.format_help()


def test_an_output_may_lie_in_a_new_folder_but_not_be_one_or_lie_below_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert output_file("new/report.json", "--list") == Path("new/report.json")
    assert output_file(f"{tmp_path}/file", "--list").read_text() == "mine"
    for name in (".", str(tmp_path)):
        with pytest.raises(UsageError, match=f"^--list: cannot write {name}: it is a folder"):
            output_file(name, "--list")
    for name in ("file/report.json", "file/deep/report.json"):
        with pytest.raises(UsageError, match=f"^--list: cannot write {name}: {tmp_path}/file is a file, not a folder"):
            output_file(name, "--list")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_read_is_not_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text("mine")
    Path("link.jsonl").symlink_to("in.jsonl")
    for name in ("in.jsonl", f"{tmp_path}/in.jsonl", "link.jsonl"):
        with pytest.raises(UsageError, match=f"^--out: {name} is also an input and would be overwritten"):
            output_file(name, "--out", ["other.jsonl", "in.jsonl", None])
    assert output_file("new.jsonl", "--out", ["new.jsonl", "in.jsonl", "."]) == Path("new.jsonl")
    args = argparse.Namespace(out="in.jsonl", files=["a", ["b"]], number=3, none=None, deep={"c": "d"})
    assert files_read(args, besides="--out") == ["a", "b", "d"]


def test_the_best_model_is_scored_or_the_last_or_the_one_to_start_from(tmp_path, capsys):
    config = parse_config({"data": {"reader": {"type": "scenes"}}, "work_dir": str(tmp_path)})
    with pytest.raises(UsageError, match="neither best/ nor output/; pass --checkpoint"):
        model_to_score(config, None)
    started = config.model_copy(update={"model": config.model.model_copy(update={"path": "somewhere"})})
    assert model_to_score(started, None) is None and model_to_score(config, "named") == "named"
    (tmp_path / "output").mkdir()
    assert model_to_score(config, None) == model_to_score(started, None) == str(tmp_path / "output")
    assert "scoring the last model" in capsys.readouterr().err
    (tmp_path / "best").mkdir()
    assert model_to_score(config, None) == str(tmp_path / "best")
    assert not capsys.readouterr().err

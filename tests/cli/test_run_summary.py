"""What a run ended with: a table that fits the terminal, files that are there, commands that can be run."""

from __future__ import annotations

import json
import re
import shlex
import sys

import pytest
from ofakit.cli import finetune, main
from ofakit.cli._run_summary import score_lines, summary_lines

from tests.terminal import in_terminal, screen

from .conftest import QUICKSTART, last_line, overrides

SCORES = {"cider": 1.25, "style_accuracy": 1.0, "bleu1": 0.5, "captions": 8, "poetic/cider": 1.5, "odd/s/cider": 1.0}


def test_scores_stand_beside_those_of_their_parts_as_far_as_there_is_room():
    assert list(score_lines("test", SCORES, 60)) == [
        "test              all  poetic  odd/s", "CIDEr           1.250   1.500  1.000",
        "style_accuracy  1.000               ",
    ]  # fmt: skip
    narrow = list(score_lines("test", SCORES, 30))
    assert narrow[0] == "test              all" and narrow[-1].startswith("(2 more columns, such as poetic")
    assert max(map(len, narrow[:-1])) <= 30 and list(score_lines("test", {}, 60)) == []


def test_searchers_are_columns():
    scores = {"mrr@100": 0.5, "without_relevant": 0, "bm25": {"mrr@100": 0.25}, "dense": {"mrr@100": 0.5}}
    assert list(score_lines("val", scores))[:2] == ["val        all   bm25  dense", "MRR@100  0.500  0.250  0.500"]


def test_stages_stand_side_by_side(tmp_path):
    stages = [{"name": "ce", "cider": 1.0, "steps": 5, "work_dir": "x"}, {"name": "scst", "cider": 1.25, "steps": 5}]
    result = {**SCORES, "split": "test", "work_dir": str(tmp_path), "stages": stages}
    lines = list(summary_lines(result, "image-captioning", 60))
    assert lines[0].split() == ["test,", "by", "stage", "ce", "scst"]
    assert lines[1].split() == ["CIDEr", "1.000", "1.250"]
    assert "poetic" in lines[2]


def test_every_command_can_be_run(run, capsys):
    """They are copied as they stand; an upload wants the name of an account first."""
    result = {"work_dir": str(run), "split": "test", **json.loads((run / "eval" / "test.json").read_text())}
    lines = list(summary_lines(result, "image-captioning"))
    commands = [shlex.split(line) for line in lines[lines.index("run next") + 1 :]]
    assert [words[1] for words in commands] == ["report", "caption", "evaluate", "upload"]
    for words in commands:
        assert words[0] == "ofakit"
        assert main.main([word.replace("OWNER/NAME", "me/pirate") for word in words[1:]]) == 0, capsys.readouterr().err
    named = [line.split()[-1] for line in lines[lines.index("look at") + 1 : lines.index("run next") - 1]]
    assert [name.removeprefix(str(run)) for name in named] == ["/best", "/eval/test.html", "/train.log"]


def test_without_an_evaluation_there_is_no_table(tmp_path):
    lines = list(summary_lines({"work_dir": str(tmp_path), "split": None, "steps": 6}, "image-captioning"))
    assert lines[:2] == ["", "run next"]


def test_odd_folders_are_quoted(tmp_path):
    folder = tmp_path / "a 'run'; x"
    (folder / "best").mkdir(parents=True)
    commands = [line for line in summary_lines({"work_dir": str(folder), "split": "val"}, "multimodal-retrieval")]
    words = shlex.split(next(line for line in commands if " search " in line))
    assert words == ["ofakit", "search", "--conf", f"{folder}/conf.json", "--set", f"run={folder}/search.trec"]


@pytest.mark.parametrize("columns", [80, 60])
def test_a_run_on_a_terminal(tmp_path, columns):
    """It says what runs, shows one line while it does, and ends with a table; stdout has the JSON alone."""
    command = [sys.executable, "-m", "ofakit", "finetune", "--conf", str(QUICKSTART), "--device", "cpu"]
    code, out, written = in_terminal([*command, *overrides(tmp_path / "run")], columns, OMP_NUM_THREADS="1")
    assert code == 0 and last_line(out)["steps"] == 6 and len(out.splitlines()) == 1
    shown = screen(written, columns)
    text = "\n".join(shown)
    assert "INFO training\n  device      cpu, fp32\n  parameters  " in text and "\n  steps       6, " in text
    assert "\rstep 6/6 100%" in written and "examples/s" in written and "\revaluation:" in written
    assert not re.search(r"step \d|evaluation:", re.sub(r"\d\d:\d\d:\d\d INFO .*", "", text)), text
    assert text.index("style_accuracy") < text.index("look at") < text.index("run next") < text.index("ofakit report")
    log = (tmp_path / "run" / "train.log").read_text()
    assert "step 6/6" in log and "step 6/6  loss" not in text.replace(log, "")


def test_elsewhere_the_log_is_plain(tmp_path, capsys):
    assert finetune.main(["--conf", str(QUICKSTART), "--device", "cpu", *overrides(tmp_path / "run")]) == 0
    seen = capsys.readouterr()
    assert "\r" not in seen.err and "\x1b" not in seen.err and len(seen.out.splitlines()) == 1
    assert "INFO training" in seen.err and "run next" in seen.err and re.search(r"INFO epoch .* step ", seen.err)

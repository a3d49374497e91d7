"""Comparing rankings: the p of 200,000 swaps, the same every time, and the tool from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ofakit.cli import compare

from tests.golden_rankings import golden, qrels_file, run_file

from .conftest import last_line

TOOL = Path(__file__).resolve().parents[2] / "tools" / "compare.py"
METRICS = ["mrr@100", "map", "precision@1", "ndcg@10"]


def arguments(shared, *more, collection="cranfield_test"):
    runs = [str(run_file(shared, collection, which)) for which in "ab"]
    return ["--qrels", str(qrels_file(shared, collection)), "--run", runs[0], "--run", runs[1], *more]


def test_p_and_scores_are_the_golden_ones(shared, capsys):
    expected = golden(shared)["cranfield_test"]
    assert compare.main(arguments(shared, *[part for name in METRICS for part in ("--metric", name)])) == 0
    result = last_line(capsys.readouterr().out)
    pair = "bm25s_cranfield_test_a vs bm25s_cranfield_test_b"
    assert list(result["p"]) == [pair] and list(result["p"][pair]) == METRICS
    for name in METRICS:
        assert result["p"][pair][name] == pytest.approx(expected["significance"]["fisher_200000_numpy"][name], abs=0.01)
        for which, system in zip("ab", result["systems"], strict=True):
            assert system["scores"][name] == pytest.approx(expected["metrics"][which][name], abs=5e-7)
            low, high = system["intervals"][name]
            assert low < system["scores"][name] < high
        test = result["tests"][0]["measures"][name]
        assert test["difference"] == pytest.approx(expected["metrics"]["b"][name] - expected["metrics"]["a"][name])
    assert (result["queries"], set(result["remarks"])) == (60, {system["name"] for system in result["systems"]})


def test_the_tool_prints_one_line_and_the_table_goes_to_stderr(shared, tmp_path):
    command = [sys.executable, TOOL, *arguments(shared, "--metric", "mrr@100", "map")]
    done = subprocess.run(
        [*command, "--out", tmp_path / "t.md", "--latex", tmp_path / "new" / "t.tex"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert result["markdown"] in done.stderr and "23.2 ±5.8<sup>b</sup>" in result["markdown"]
    assert (tmp_path / "t.md").read_text().strip() == result["markdown"]
    assert (tmp_path / "new" / "t.tex").read_text().strip() == result["latex"]
    assert r"\begin{tabular}{llrr}" in result["latex"]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.stdout == done.stdout, "the same p every time"


def test_a_comparison_of_runs_loads_little(shared):
    code = (
        f"import sys\nfrom ofakit.cli.compare import main\nmain({arguments(shared, '--rounds', '10')!r})\n"
        "print(*{'numba', 'pydantic', 'torch', 'scipy', 'PIL', 'sklearn'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_more_than_two_runs(shared, tmp_path, capsys):
    extra = tmp_path / "c.trec"
    extra.write_text("".join(run_file(shared, "cranfield_test", "a").read_text().splitlines(keepends=True)[:3000]))
    assert compare.main(arguments(shared, "--run", str(extra), "--metric", "mrr@100", "--rounds", "100")) == 0
    printed = capsys.readouterr()
    result = last_line(printed.out)
    assert len(result["p"]) == len(result["tests"]) == 3
    assert result["remarks"]["c"][0].startswith("queries without a passage in the run, which score 0: 30 (")
    assert result["markdown"].splitlines()[4].startswith("| c | c |")
    assert "which score 0: 30" in printed.err


def test_the_same_run_twice_under_two_names_does_not_differ(shared, tmp_path, capsys):
    copy = tmp_path / "copy.trec"
    copy.write_bytes(run_file(shared, "cranfield_test", "a").read_bytes())
    first = str(run_file(shared, "cranfield_test", "a"))
    qrels = str(qrels_file(shared, "cranfield_test"))
    assert compare.main(["--qrels", qrels, "--run", first, str(copy), "--rounds", "50"]) == 0
    assert set(last_line(capsys.readouterr().out)["p"]["bm25s_cranfield_test_a vs copy"].values()) == {1.0}

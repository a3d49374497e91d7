"""tools/evaluate.py with a run: the golden scores, their intervals, and what does not go together."""

from __future__ import annotations

import pytest
from ofakit.cli import evaluate

from tests.golden_rankings import golden, qrels_file, run_file

from .conftest import last_line


def arguments(shared, *more):
    run, qrels = run_file(shared, "cranfield_test", "a"), qrels_file(shared, "cranfield_test")
    return ["--run", str(run), "--qrels", str(qrels), *more]


def test_scores_are_the_golden_ones(shared, capsys):
    expected = golden(shared)["cranfield_test"]["metrics"]["a"]
    names = [part for name in expected for part in ("--metric", name)]
    assert evaluate.main(arguments(shared, *names, "--bootstrap", "100")) == 0
    result = last_line(capsys.readouterr().out)
    assert {name: result[name] for name in expected} == pytest.approx(expected, abs=5e-7)
    assert (result["queries"], result["remarks"], list(result["intervals"])) == (60, [], list(expected))
    for name, (low, high) in result["intervals"].items():
        assert low < result[name] < high


def test_without_resamples_there_are_no_intervals(shared, capsys):
    assert evaluate.main(arguments(shared, "--bootstrap", "0")) == 0
    result = last_line(capsys.readouterr().out)
    assert list(result) == ["map", "mrr@100", "p@1", "p@20", "hit@20", "ndcg@10", "queries", "remarks"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run", "a", "b", "--qrels", "q"], "--run: expected one file, found 2; tools/compare.py compares several"),
        (["--qrels", "q"], "--run: expected one file, found 0"),
        (["--metric", "mrr@100"], "--run: expected one file, found 0"),
        (["--pooled", "--conf", "c.json"], "pass either --conf FILE to score a model, or"),
        (["--run", "a"], "--run needs --qrels FILE"),
        (["--run", "a", "--qrels", "q", "--bootstrap", "-1"], "expected 0 or more resamples, found -1"),
        (["--run", "a", "--qrels", "q", "--conf", "c.json"], "pass either --conf FILE to score a model, or"),
        (["--run", "a", "--qrels", "q", "--predictions", "p"], "or --run FILE --qrels FILE"),
        (["--run", "none.trec", "--qrels", "none.trec"], "expected judgements in none.trec; there is no such file"),
    ],
)
def test_what_does_not_go_together_exits_with_2(arguments, message, capsys):
    assert evaluate.main(arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err

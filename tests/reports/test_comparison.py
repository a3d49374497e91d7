"""Runs are compared on what all of them have."""

import pytest
from ofakit.errors import UsageError
from ofakit.reports import comparison_report, read_run
from ofakit.reports.comparison import names_of

from tests.written_runs import write_captioning_run, write_lines, write_ranking_run


def test_captions_with_tests_and_intervals(tmp_path):
    good = read_run(write_captioning_run(tmp_path / "good"))
    poor = read_run(write_captioning_run(tmp_path / "poor", captions=["a cat sits"]))
    text = comparison_report([good, poor])
    assert "poor minus good" in text and "good is better" in text and "8 items common to all runs" in text
    assert text.count("<article") == 8


def test_what_only_one_has_is_left_out_and_counted(tmp_path):
    first, second = (read_run(write_captioning_run(tmp_path / name)) for name in "ab")
    write_lines(tmp_path / "b" / "eval" / "test.predictions.jsonl", list(second.split().rows)[:6])
    assert "6 items common to all runs; 2 others are left out" in comparison_report([first, read_run(tmp_path / "b")])


def test_rankings(tmp_path):
    runs = [read_run(write_ranking_run(tmp_path / name)) for name in "ab"]
    assert "3 items common to all runs" in comparison_report(runs) and "MRR@100" in comparison_report(runs)


def test_runs_that_cannot_be_compared(tmp_path):
    captions, rankings = read_run(write_captioning_run(tmp_path / "a")), read_run(write_ranking_run(tmp_path / "b"))
    with pytest.raises(UsageError, match="expected runs of one task"):
        comparison_report([captions, rankings])
    with pytest.raises(UsageError, match="given twice"):
        comparison_report([captions, captions])
    with pytest.raises(UsageError, match="two runs or more"):
        comparison_report([captions])


def test_names_are_as_long_as_needed(tmp_path):
    runs = [read_run(write_captioning_run(tmp_path / name / "run")) for name in "ab"]
    assert names_of(runs) == ["a/run", "b/run"]

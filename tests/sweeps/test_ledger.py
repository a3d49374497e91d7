"""The records: two files that agree, and the best by any metric."""

from __future__ import annotations

import csv
import json

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps import Ledger, Record


def record(number: int, result: dict, metric: str = "cider", **more) -> Record:
    about = {"parameters": {"lr": 0.1, "style": "a,b"}, "work_dir": f"runs/{number}", "seconds": 1.5, **more}
    return Record(number=number, status="done", result=result, **about).scored_by(metric)


def filled(folder, rule="max") -> Ledger:
    ledger = Ledger(folder, ["lr", "style"], "cider", rule)
    ledger.add(record(2, {"cider": 0.5, "loss": 1.0}))
    ledger.add(record(0, {"cider": 0.25, "loss": 0.5}))
    ledger.add(Record(1, {"lr": 1.0, "style": "c"}, "failed", "runs/1", 0.1, error="exit code 1: boom"))
    return ledger


def test_both_files_have_every_run_in_the_order_of_the_numbers(tmp_path):
    filled(tmp_path)
    with open(tmp_path / "results.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert [row["number"] for row in rows] == ["0", "1", "2"] == [str(line["number"]) for line in lines]
    assert rows[0] == {
        "number": "0", "lr": "0.1", "style": "a,b", "cider": "0.25", "work_dir": "runs/0", "status": "done",
        "seconds": "1.5", "error": "",
    }  # fmt: skip
    assert (rows[1]["cider"], rows[1]["status"], rows[1]["error"]) == ("", "failed", "exit code 1: boom")
    assert lines[2]["result"] == {"cider": 0.5, "loss": 1.0}


@pytest.mark.parametrize(("metric", "rule", "best"), [("cider", "max", 2), ("cider", "min", 0), ("loss", "min", 0)])
def test_the_best_by_any_metric_of_runs_that_are_done(tmp_path, metric, rule, best):
    filled(tmp_path)
    assert Ledger(tmp_path, ["lr", "style"], metric, rule).best().number == best


def test_a_metric_that_no_run_has_is_refused_with_those_there_are(tmp_path):
    filled(tmp_path)
    with pytest.raises(UsageError, match="run 0: the result has no 'spice'.*cider, loss"):
        Ledger(tmp_path, ["lr", "style"], "spice", "max")


def test_a_line_that_is_no_record_is_named(tmp_path):
    filled(tmp_path)
    (tmp_path / "runs.jsonl").write_text('{"number": 0}\n')
    with pytest.raises(UsageError, match="runs.jsonl, line 1: not the record of a run"):
        Ledger(tmp_path, ["lr", "style"], "cider", "max")


def test_a_pruned_run_counts_as_its_last_evaluation_but_never_as_the_best(tmp_path):
    ledger = filled(tmp_path)
    pruned = Record(3, {"lr": 2.0, "style": "d"}, "pruned", "runs/3", 1.0, evaluations=((1, 0.5), (2, 9.0)))
    ledger.add(pruned.scored_by("cider"))
    assert ledger[3].score == 9.0
    assert ledger.best().number == 2


def test_equal_runs_are_all_kept_and_the_first_is_best(tmp_path):
    ledger = Ledger(tmp_path, [], "cider", "max")
    assert ledger.best() is None and len(ledger) == 0
    for number in (2, 1, 3):
        ledger.add(record(number, {"cider": 0.5}))
    assert ledger.best().number == 1
    assert [r.number for r in ledger] == [1, 2, 3] and 3 in ledger and 4 not in ledger


def test_failures_can_be_forgotten_on_disk_too(tmp_path):
    filled(tmp_path).forget_failures()
    again = Ledger(tmp_path, ["lr", "style"], "cider", "max")
    assert [r.number for r in again] == [0, 2]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 3


def test_a_run_that_is_added_again_replaces_its_record(tmp_path):
    ledger = filled(tmp_path)
    ledger.add(record(1, {"cider": 9.0}))
    assert len(Ledger(tmp_path, ["lr"], "cider", "max")) == 3 and ledger.best().number == 1


@pytest.mark.parametrize(("value", "cell"), [("plain", "plain"), (0.1, "0.1"), (None, "null"), ([1, "é"], '[1, "é"]')])
def test_a_parameter_stands_in_the_table_as_set_takes_it(tmp_path, value, cell):
    ledger = Ledger(tmp_path, ["x"], "cider", "max")
    ledger.add(record(0, {"cider": 1.0}, parameters={"x": value}))
    with open(tmp_path / "results.csv", newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["x"] == cell

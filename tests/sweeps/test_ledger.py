"""The records: two files that agree, the best by any metric, and what a result must hold."""

from __future__ import annotations

import csv
import json

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps import Ledger, Record
from ofakit.sweeps.record import number_at, parse_result


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
    with open(tmp_path / "results.csv", newline="") as file:
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


def test_a_record_survives_its_line():
    before = record(3, {"cider": 0.1 + 0.2}, evaluations=((10, 0.1), (20, 1 / 3)))
    after = Record.from_line(before.to_line("cider")).scored_by("cider")
    assert after == before and after.score == before.score


def test_a_pruned_run_counts_as_its_last_evaluation_but_never_as_the_best(tmp_path):
    ledger = filled(tmp_path)
    pruned = Record(3, {"lr": 2.0, "style": "d"}, "pruned", "runs/3", 1.0, evaluations=((1, 0.5), (2, 9.0)))
    ledger.add(pruned.scored_by("cider"))
    assert ledger[3].score == 9.0
    assert ledger.best().number == 2


@pytest.mark.parametrize(
    ("result", "metric", "said"),
    [
        ({"cider": float("nan")}, "cider", "finite number, found nan"),
        ({"cider": "high"}, "cider", "finite number, found 'high'"),
        ({"cider": True}, "cider", "finite number, found True"),
        ({"stages": [{"cider": 1.0}]}, "stages.1.cider", "no 'stages.1.cider': did you mean 'stages.0.cider'"),
        ({"cider": 1.0}, "cider.deeper", "no 'cider.deeper'"),
    ],
)
def test_what_is_no_number_is_refused(result, metric, said):
    with pytest.raises(UsageError, match=said):
        number_at(result, metric)


def test_a_name_with_a_dot_in_it_is_found_before_it_is_taken_apart():
    assert number_at({"a.b": 1.0, "a": {"b": 2.0}}, "a.b") == 1.0


@pytest.mark.parametrize("text", ["", "Killed\n", '{"cider": 1}\nbye\n', "[1]\n"])
def test_a_last_line_that_is_no_object_is_shown(tmp_path, text):
    (tmp_path / "out").write_text(text)
    with pytest.raises(UsageError, match="expected one JSON object as the last line"):
        parse_result(tmp_path / "out")

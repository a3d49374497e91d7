"""What is known of a run: its line, its score by any metric, and what a result must hold."""

from __future__ import annotations

import json

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps.record import Record, number_at, parse_result


def record(number: int, result: dict, metric: str = "cider", **more) -> Record:
    about = {"parameters": {"lr": 0.1, "style": "a,b"}, "work_dir": f"runs/{number}", "seconds": 1.5, **more}
    return Record(number=number, status="done", result=result, **about).scored_by(metric)


def test_a_record_survives_its_line():
    before = record(3, {"cider": 0.1 + 0.2}, evaluations=((10, 0.1), (20, 1 / 3)))
    after = Record.from_line(before.to_line("cider")).scored_by("cider")
    assert after == before and after.score == before.score


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


def test_the_last_line_is_the_result_whatever_stands_before_it(tmp_path):
    (tmp_path / "out").write_bytes(b'\xff log\n{"cider": 0}\n{"cider": 1}\n\n')
    assert parse_result(tmp_path / "out") == {"cider": 1}


@pytest.mark.parametrize(
    ("status", "evaluations", "score"),
    [
        ("done", ((1, 9.0),), 0.5),
        ("pruned", ((1, 9.0), (2, 4.0)), 4.0),
        ("pruned", (), None),
        ("failed", ((1, 9.0),), None),
    ],
)
def test_the_score_is_that_of_the_result_or_of_the_last_evaluation(status, evaluations, score):
    result = {"cider": 0.5} if status == "done" else None
    assert Record(0, {}, status, "", 0.0, result, evaluations).scored_by("cider").score == score


def test_what_is_printed_says_why_a_run_failed():
    done = record(3, {"cider": 0.5})
    about = {"number": 3, "parameters": {"lr": 0.1, "style": "a,b"}}
    assert done.summary("cider") == {**about, "cider": 0.5, "work_dir": "runs/3", "status": "done", "seconds": 1.5}
    failed = Record(4, {}, "failed", "runs/4", 0.1, error="exit code 1: boom")
    assert failed.summary("cider")["error"] == "exit code 1: boom" and failed.summary("cider")["cider"] is None


def test_a_line_holds_the_result_and_the_evaluations():
    line = json.loads(record(3, {"loss": 2.0}, metric="loss", evaluations=((10, 0.1),)).to_line("loss"))
    assert (line["loss"], line["result"], line["evaluations"]) == (2.0, {"loss": 2.0}, [[10, 0.1]])

"""What a run reports while it trains is read as it comes, once, and through all stages."""

from __future__ import annotations

import pytest
from ofakit.sweeps.evaluations import EvaluationReader


def test_evaluations_are_read_as_they_come_and_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    reader = EvaluationReader(tmp_path, "evaluation/cider")
    assert reader.new() == []
    path.write_text('{"step": 5, "loss": 1}\n{"step": 5, "evaluation/cider": 0.5}\n{"step": 6, "evaluation/ci')
    assert reader.new() == [(5, 0.5)]
    assert reader.new() == []
    # A resumed run writes the file anew and does some steps again.
    path.write_text('{"step": 5, "evaluation/cider": 0.5}\n{"step": 6, "evaluation/cider": 0.75}\n')
    assert reader.new() == [(6, 0.75)]
    path.write_text('{"step": 7, "evaluation/cider": NaN}\n')
    assert reader.new() == []
    assert reader.all() == ((5, 0.5), (6, 0.75))


def test_evaluations_of_stages_are_counted_through_all_of_them(tmp_path):
    reader = EvaluationReader(tmp_path, "evaluation/cider")
    first, second = tmp_path / "stages" / "1_cross_entropy", tmp_path / "stages" / "2_scst"
    first.mkdir(parents=True)
    assert reader.new() == []
    (first / "metrics.jsonl").write_text(
        '{"step": 5, "evaluation/cider": 0.5}\n{"step": 10, "evaluation/cider": 0.6}\n'
    )
    assert reader.new() == [(5, 0.5), (10, 0.6)]
    (first / "result.json").write_text('{"name": "cross_entropy", "steps": 12}')
    second.mkdir()
    assert reader.new() == []
    (second / "metrics.jsonl").write_text('{"step": 5, "reward": 1}\n{"step": 5, "evaluation/cider": 0.7}\n')
    assert reader.new() == [(17, 0.7)]
    assert EvaluationReader(tmp_path, "evaluation/cider").all() == ((5, 0.5), (10, 0.6), (17, 0.7))


@pytest.mark.parametrize(
    "line", ["[1]", "3", "null", '{"step": "x", "loss": 1}', '{"loss": 1}', '{"step": 1, "loss": "high"}', "{", "é"]
)
def test_lines_of_something_else_are_passed_over(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{line}\n{{"step": 2, "loss": 0.5}}\n', encoding="utf-8")
    assert EvaluationReader(tmp_path, "loss").new() == [(2, 0.5)]


def test_an_unchanged_file_is_not_read_again(tmp_path, monkeypatch):
    (tmp_path / "metrics.jsonl").write_text('{"step": 2, "loss": 0.5}\n')
    reader = EvaluationReader(tmp_path, "loss")
    reader.new()

    def refuse(line):
        raise RuntimeError(f"read again: {line}")

    monkeypatch.setattr("json.loads", refuse)
    assert reader.new() == [] and reader.all() == ((2, 0.5),)

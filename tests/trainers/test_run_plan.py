"""What a run is before its first step, as lines."""

from __future__ import annotations

from ofakit.trainers.run_plan import plan_lines

PLAN = {
    "device": "cpu", "processes": 2, "precision": "fp32", "parameters": {"all": 123456789, "learning": 45},
    "examples": {"train": 1000, "val": 10}, "training_examples": 998, "batch_size": 8, "examples_per_step": 16,
    "steps_per_epoch": 63, "epochs": 2, "steps": 126,
}  # fmt: skip


def test_every_fact_has_its_line_and_none_is_wider_than_60():
    lines = list(plan_lines(PLAN))
    assert lines == [
        "device      cpu x 2 processes, fp32", "parameters  123,456,789, 45 of them trained",
        "examples    train 1,000, val 10", "epochs      2, of 998 training examples",
        "steps       126, 63 an epoch, of 16 examples each",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 58


def test_objectives_and_what_is_left_out_are_told_where_they_are_known():
    told = "\n".join(plan_lines({**PLAN, "objectives": ["ce", "itm"], "left_out": {"empty caption": 2}}))
    assert "998 training examples, 2 left out: empty caption" in told and "objectives  ce, itm" in told

"""The order of tasks is that of VL-T5's multitask loader."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from ofakit.data.task_schedule import schedule

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden" / "vl" / "task_schedule.json"


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden task schedule at {GOLDEN}")
def test_the_order_is_that_of_the_original_code():
    rows = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(rows) == 12
    for row in rows:
        assert schedule(row["lengths"], row["sampling"], row["epoch"]) == row["tasks"]


@pytest.mark.parametrize("mixing", ["roundrobin", "proportional"])
def test_each_task_has_as_many_turns_as_batches(mixing):
    batches = {"a": 5, "b": 1, "c": 12}
    for epoch in range(5):
        assert Counter(schedule(batches, mixing, epoch)) == batches


def test_balanced_tasks_have_as_many_turns():
    assert Counter(schedule({"a": 5, "b": 1, "c": 12}, "balanced", 3)) == {"a": 6, "b": 6, "c": 6}


def test_proportional_turns_are_spread_evenly():
    order = schedule({"a": 30, "b": 10}, "proportional", 0)
    for start in range(0, 40, 4):
        assert Counter(order[start : start + 4]) == {"a": 3, "b": 1}

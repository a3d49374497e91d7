"""Batches of one task each, in the order of the task schedule, the same for any number of processes."""

from __future__ import annotations

from collections import Counter

import pytest
from ofakit.data.task_sampler import TaskBatchSampler
from ofakit.data.task_schedule import schedule
from ofakit.errors import UsageError

TASKS = ["vqa"] * 21 + ["caption"] * 10
SIZES = {"vqa": 4, "caption": 3}


def positions(sampler, epoch, start=0):
    sampler.set_epoch(epoch, start)
    return [[place for _, place in batch] for batch in sampler]


def task_of(batch):
    (task,) = {TASKS[place] for place in batch}
    return task


@pytest.mark.parametrize("mixing", ["roundrobin", "balanced", "proportional"])
@pytest.mark.parametrize("epoch", [0, 1])
def test_turns_are_those_of_the_schedule(mixing, epoch):
    batches = positions(TaskBatchSampler(TASKS, SIZES, mixing), epoch)
    assert [task_of(batch) for batch in batches] == schedule({"vqa": 6, "caption": 4}, mixing, epoch)
    assert len(batches) == TaskBatchSampler(TASKS, SIZES, mixing).batches_per_epoch


@pytest.mark.parametrize("mixing", ["roundrobin", "proportional"])
def test_every_example_is_seen_once_an_epoch(mixing):
    batches = positions(TaskBatchSampler(TASKS, SIZES, mixing), 3)
    assert sorted(place for batch in batches for place in batch) == list(range(31))
    assert {task: max(len(b) for b in batches if task_of(b) == task) for task in SIZES} == SIZES


def test_balanced_small_tasks_are_gone_through_again_with_other_random_numbers():
    sampler = TaskBatchSampler(["a"] * 40 + ["b"] * 4, {"a": 4, "b": 4}, "balanced")
    sampler.set_epoch(0)
    keys = [key for batch in sampler for key in batch if key[1] >= 40]
    assert Counter(place for _, place in keys) == {40: 5, 41: 5, 42: 5, 43: 5} and len(set(keys)) == 20


@pytest.mark.parametrize("mixing", ["roundrobin", "balanced", "proportional"])
def test_processes_share_the_batches_of_one_and_all_batches_of_a_step_are_of_one_task(mixing):
    alone = positions(TaskBatchSampler(TASKS, {"vqa": 8, "caption": 6}, mixing, 1, 5), 2)
    parts = [positions(TaskBatchSampler(TASKS, SIZES, mixing, 1, 5, rank, 2), 2) for rank in range(2)]
    assert [sorted(one + other) for one, other in zip(*parts, strict=True)] == [sorted(batch) for batch in alone]
    steps = positions(TaskBatchSampler(TASKS, SIZES, mixing, batches_per_step=2), 0)
    assert all(task_of(steps[k]) == task_of(steps[k + 1]) for k in range(0, len(steps), 2))


def test_an_epoch_can_be_entered_anywhere():
    sampler = TaskBatchSampler(TASKS, SIZES, "roundrobin", seed=4)
    whole = positions(sampler, 1)
    for start in range(len(whole)):
        assert positions(sampler, 1, start) == whole[start:]


def test_more_processes_with_smaller_batches_go_on():
    state = TaskBatchSampler(TASKS, {"vqa": 8, "caption": 6}, "roundrobin").state_dict(0, 2)
    TaskBatchSampler(TASKS, SIZES, "roundrobin", rank=1, world_size=2).load_state_dict(state)
    with pytest.raises(UsageError, match="batch sizes = vqa 8, caption 6, found vqa 8, caption 4 now"):
        TaskBatchSampler(TASKS, {"vqa": 4, "caption": 2}, "roundrobin", world_size=2).load_state_dict(state)


def test_other_batch_sizes_cannot_be_resumed():
    state = TaskBatchSampler(TASKS, SIZES, "roundrobin").state_dict(0, 2)
    TaskBatchSampler(TASKS, SIZES, "roundrobin").load_state_dict(state)
    for sampler in (
        TaskBatchSampler(TASKS, {"vqa": 4, "caption": 2}, "roundrobin"),
        TaskBatchSampler(TASKS, SIZES, "balanced"),
    ):
        with pytest.raises(UsageError, match="cannot resume"):
            sampler.load_state_dict(state)


@pytest.mark.parametrize("mixing", ["roundrobin", "balanced", "proportional"])
def test_a_task_without_examples_is_refused(mixing):
    with pytest.raises(UsageError, match="found 0 of 'gqa'"):
        TaskBatchSampler(TASKS, {**SIZES, "gqa": 4}, mixing)


GROUPS = ["text", "image", "image"] * 7 + [None] * 10
"""Of 21 questions and 10 captions: 7 with a text, 14 with an image."""


def grouped(mixing="roundrobin", kind="balanced", sizes=SIZES, steps=1, rank=0, world_size=1, groups=GROUPS):
    return TaskBatchSampler(TASKS, sizes, mixing, steps, 5, rank, world_size, groups, {"vqa": kind})


@pytest.mark.parametrize("kind", ["balanced", "proportional"])
@pytest.mark.parametrize("mixing", ["roundrobin", "balanced", "proportional"])
def test_a_task_with_groups_has_one_group_a_step_and_as_many_turns_as_its_groups_need(mixing, kind):
    sampler = grouped(mixing, kind)
    turns = {"balanced": 2 * 4, "proportional": 2 + 4}[kind]
    for epoch in range(2):
        batches = positions(sampler, epoch)
        assert [task_of(batch) for batch in batches] == schedule({"vqa": turns, "caption": 4}, mixing, epoch)
        assert len(batches) == sampler.batches_per_epoch
        assert all(len({GROUPS[place] for place in batch}) == 1 for batch in batches)
        if mixing != "balanced":
            seen = Counter(GROUPS[batch[0]] for batch in batches if task_of(batch) == "vqa")
            assert seen == ({"text": 4, "image": 4} if kind == "balanced" else {"text": 2, "image": 4})
            counts = Counter(place for batch in batches for place in batch)
            assert set(counts) == set(range(31)) and max(counts.values()) == (2 if kind == "balanced" else 1)


@pytest.mark.parametrize("kind", ["balanced", "proportional"])
def test_what_is_seen_again_in_an_epoch_draws_other_random_numbers(kind):
    few = ["vqa"] * 6 + ["caption"] * 90
    sampler = TaskBatchSampler(
        few, {"vqa": 2, "caption": 3}, "balanced", 1, 5, 0, 1, ["a", "b"] * 3 + [None] * 90, {"vqa": kind}
    )
    sampler.set_epoch(0)
    keys = [key for batch in sampler for key in batch if key[1] < 6]
    assert len(keys) > 12 and len(set(keys)) == len(keys)
    assert max(Counter(place for _, place in keys).values()) > 2


@pytest.mark.parametrize("mixing", ["roundrobin", "balanced", "proportional"])
def test_processes_share_the_batches_of_a_group_and_an_epoch_can_be_entered_anywhere(mixing):
    alone = positions(grouped(mixing, sizes={"vqa": 8, "caption": 6}), 2)
    parts = [positions(grouped(mixing, rank=rank, world_size=2), 2) for rank in range(2)]
    assert [sorted(one + other) for one, other in zip(*parts, strict=True)] == [sorted(batch) for batch in alone]
    sampler = grouped(mixing, steps=2)
    whole = positions(sampler, 1)
    for first in range(0, len(whole), 2):
        assert len({(task_of(batch), GROUPS[batch[0]]) for batch in whole[first : first + 2]}) == 1
    for start in range(len(whole)):
        assert positions(sampler, 1, start) == whole[start:]


def test_tasks_without_groups_keep_their_batches_and_snapshots_of_either_kind_are_told_apart():
    plain = TaskBatchSampler(TASKS, SIZES, "roundrobin", 1, 5)
    unused = TaskBatchSampler(TASKS, SIZES, "roundrobin", 1, 5, groups=GROUPS)
    assert positions(plain, 1) == positions(unused, 1) and plain.state_dict(0, 1) == unused.state_dict(0, 1)
    for one, other in ((plain, grouped()), (grouped(), plain), (grouped(), grouped(kind="proportional"))):
        with pytest.raises(UsageError, match="cannot resume"):
            one.load_state_dict(other.state_dict(0, 2))


def test_groups_that_cannot_be_kept_apart_are_refused():
    with pytest.raises(UsageError, match="task 'vqa': expected a group for every example, since its mixing is set"):
        grouped(groups=[None] * 31)
    with pytest.raises(UsageError, match="found 1 of 'vqa/rare'"):
        grouped(steps=2, groups=["rare", *["image"] * 20, *[None] * 10])

"""Groups take turns: the same for any number of processes, each step of one group, and resumable anywhere."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data import GroupedBatchSampler, ResumableBatchSampler
from ofakit.errors import UsageError

MIXINGS = st.sampled_from(["balanced", "proportional"])
SIZES = {
    "counts": st.lists(st.integers(8, 40), min_size=1, max_size=3),
    "batch_size": st.integers(1, 4),
    "steps": st.integers(1, 2),
    "world_size": st.integers(1, 3),
    "mixing": MIXINGS,
}


def groups_of(counts):
    """The groups of examples, not in blocks."""
    names = [[name] * count for name, count in zip("xyz", counts, strict=False)]
    longest = max(map(len, names))
    return [of[place] for place in range(longest) for of in names if place < len(of)]


def batches(counts, batch_size, mixing, steps=1, world_size=1, epoch=0, start=0):
    """The batches of every rank: [rank][batch][example]."""
    ranks = []
    for rank in range(world_size):
        sampler = GroupedBatchSampler(groups_of(counts), batch_size, mixing, steps, 3, rank, world_size)
        sampler.set_epoch(epoch, start)
        ranks.append(list(sampler))
        assert len(sampler) == len(ranks[-1]) == sampler.batches_per_epoch - start
    return ranks


@given(**SIZES, epoch=st.integers(0, 2))
def test_all_batches_of_a_step_on_all_processes_are_of_one_group(counts, batch_size, mixing, steps, world_size, epoch):
    groups, ranks = groups_of(counts), batches(counts, batch_size, mixing, steps, world_size, epoch)
    assert len({len(of_rank) for of_rank in ranks}) == 1 and len(ranks[0]) % steps == 0
    for first in range(0, len(ranks[0]), steps):
        of_step = [batch for of_rank in ranks for batch in of_rank[first : first + steps]]
        assert len({groups[k] for batch in of_step for _, k in batch}) == 1
        assert all(1 <= len(batch) <= batch_size for batch in of_step)
        assert max(map(len, of_step)) - min(map(len, of_step)) <= 2
        together = [k for batch in of_step for _, k in batch]
        assert len(set(together)) == len(together)


@given(**SIZES, epoch=st.integers(0, 2))
def test_the_ranks_joined_are_the_batch_of_one_process(counts, batch_size, mixing, steps, world_size, epoch):
    ranks = batches(counts, batch_size, mixing, steps, world_size, epoch)
    joined = [sum(parts, []) for parts in zip(*ranks, strict=True)]
    if any(0 < count % (batch_size * world_size * steps) < steps * world_size for count in counts):
        return  # what is left over is too little for every process, but may be enough for one
    assert joined == batches(counts, batch_size * world_size, mixing, steps, 1, epoch)[0]


@given(**SIZES, epoch=st.integers(0, 2))
def test_proportional_sees_every_example_once_but_for_what_is_left_over(
    counts, batch_size, mixing, steps, world_size, epoch
):
    ranks = batches(counts, batch_size, "proportional", steps, world_size, epoch)
    seen = [item for of_rank in ranks for batch in of_rank for item in batch]
    assert len(set(seen)) == len(seen) and {key for key, _ in seen} == {epoch}
    of_group = Counter(groups_of(counts)[k] for _, k in seen)
    for name, count in zip("xyz", counts, strict=False):
        assert count - steps * world_size < of_group[name] <= count


def test_balanced_gives_each_group_as_many_steps_and_repeats_the_small_in_another_order():
    groups = groups_of([40, 10])
    (alone,) = batches([40, 10], 5, "balanced")
    of_batch = [groups[batch[0][1]] for batch in alone]
    assert Counter(of_batch) == {"x": 8, "y": 8}
    assert all(set(of_batch[first : first + 2]) == {"x", "y"} for first in range(0, 16, 2))
    assert len({tuple(of_batch[first : first + 2]) for first in range(0, 16, 2)}) == 2  # neither is always first
    small = [batch for batch, name in zip(alone, of_batch, strict=True) if name == "y"]
    cycles = [small[0] + small[1], small[2] + small[3], small[4] + small[5], small[6] + small[7]]
    assert all(len({k for _, k in cycle}) == 10 for cycle in cycles)
    assert len({tuple(k for _, k in cycle) for cycle in cycles}) == 4
    assert len({key for cycle in cycles for key, _ in cycle}) == 4  # other random numbers each time


def test_proportional_spreads_a_small_group_over_the_epoch():
    groups = groups_of([80, 20])
    (alone,) = batches([80, 20], 5, "proportional")
    places = [number for number, batch in enumerate(alone) if groups[batch[0][1]] == "y"]
    assert len(alone) == 20 and len(places) == 4
    assert all(5 * number <= place < 5 * (number + 1) + 1 for number, place in enumerate(places))


@given(**SIZES, data=st.data())
def test_resumed_in_the_middle_equals_uninterrupted(counts, batch_size, mixing, steps, world_size, data):
    whole = batches(counts, batch_size, mixing, steps, world_size, epoch=2)
    done = data.draw(st.integers(0, len(whole[0])))
    for rank in range(world_size):
        arguments = groups_of(counts), batch_size, mixing, steps, 3, rank, world_size
        after = GroupedBatchSampler(*arguments)
        after.load_state_dict(json.loads(json.dumps(GroupedBatchSampler(*arguments).state_dict(2, done))))
        assert list(after) == whole[rank][done:]


def test_epochs_and_seeds_differ():
    groups = groups_of([30, 20])
    orders = [
        GroupedBatchSampler(groups, 5, "balanced", seed=seed).order(epoch).tolist()
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert orders[0] == orders[3] and len(set(map(tuple, orders))) == 3
    sampler = GroupedBatchSampler(groups, 5, "balanced")
    assert [k for batch in sampler for _, k in batch] == orders[0]


GROUPS = groups_of([16, 24])


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"mixing": "proportional"}, "mixing"),
        ({"batches_per_step": 2}, "batches_per_step"),
        ({"groups": GROUPS[::-1]}, "groups"),
        ({"batch_size": 4}, "global_batch_size"),
    ],
)
def test_a_snapshot_of_another_mixture_is_refused(change, name):
    usual = {"groups": GROUPS, "batch_size": 8, "mixing": "balanced"}
    state = GroupedBatchSampler(**usual).state_dict(0, 1)
    with pytest.raises(UsageError, match=f"{name} = "):
        GroupedBatchSampler(**{**usual, **change}).load_state_dict(state)
    with pytest.raises(UsageError, match="mixing = None, found balanced"):
        GroupedBatchSampler(**usual).load_state_dict(ResumableBatchSampler(40, 8).state_dict(0, 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ["x", None, "y", None]}, "2 of 4 without one; set it to null"),
        ({"groups": ["x"] * 9 + ["y"], "batches_per_step": 2}, "at least 2 .* found 1 of 'y'.*gradient_accumulation"),
        ({"groups": ["x"] * 9 + ["y"], "world_size": 2}, "at least 2 .* found 1 of 'y'"),
        ({"groups": []}, "at least 1 training examples"),
        ({"groups": ["x"], "batch_size": 0}, "batch_size >= 1"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        GroupedBatchSampler(**{"batch_size": 2, "mixing": "balanced", **arguments})

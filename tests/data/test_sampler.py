"""The order of examples is the same for any number of processes, and resumable in the middle of an epoch."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.data import ResumableBatchSampler
from ofakit.errors import UsageError

SIZES = {"length": st.integers(8, 60), "batch_size": st.integers(1, 6), "world_size": st.integers(1, 5)}


def batches(length, batch_size, world_size, epoch=0, start=0, **options):
    """The batches of every rank: [rank][batch][example]."""
    ranks = []
    for rank in range(world_size):
        sampler = ResumableBatchSampler(length, batch_size, 3, rank, world_size, **options)
        sampler.set_epoch(epoch, start)
        ranks.append(list(sampler))
        assert len(sampler) == len(ranks[-1])
    return ranks


@given(**SIZES, epoch=st.integers(0, 3), drop_last=st.booleans())
def test_the_ranks_joined_are_the_batch_of_one_process(length, batch_size, world_size, epoch, drop_last):
    if drop_last and length < batch_size * world_size:
        return
    ranks = batches(length, batch_size, world_size, epoch, drop_last=drop_last)
    joined = [sum(parts, []) for parts in zip(*ranks, strict=True)]
    (alone,) = batches(length, batch_size * world_size, 1, epoch, drop_last=drop_last)
    assert joined == alone[: len(joined)]
    assert sum(map(len, alone[len(joined) :])) < world_size
    for parts in zip(*ranks, strict=True):
        assert all(parts)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(length=st.integers(1, 60), batch_size=st.integers(1, 6), epoch=st.integers(0, 3), shuffle=st.booleans())
def test_one_process_sees_every_example_once(length, batch_size, epoch, shuffle):
    (alone,) = batches(length, batch_size, 1, epoch, shuffle=shuffle)
    seen = sum(alone, [])
    assert sorted(seen) == [(epoch, k) for k in range(length)]
    assert shuffle or seen == sorted(seen)


@given(**SIZES, data=st.data())
def test_resumed_in_the_middle_equals_uninterrupted(length, batch_size, world_size, data):
    whole = batches(length, batch_size, world_size, epoch=2)
    done = data.draw(st.integers(0, len(whole[0])))
    for rank in range(world_size):
        before = ResumableBatchSampler(length, batch_size, 3, rank, world_size)
        after = ResumableBatchSampler(length, batch_size, 3, rank, world_size)
        after.load_state_dict(json.loads(json.dumps(before.state_dict(2, done))))
        assert list(after) == whole[rank][done:]


def test_epochs_and_seeds_differ():
    first = ResumableBatchSampler(50, 5, seed=0)
    assert first.order(0).tolist() != first.order(1).tolist()
    assert first.order(0).tolist() != ResumableBatchSampler(50, 5, seed=1).order(0).tolist()
    assert first.order(0).tolist() == ResumableBatchSampler(50, 7, seed=0).order(0).tolist()


def test_a_snapshot_moves_to_another_number_of_processes_with_the_same_global_batch():
    state = ResumableBatchSampler(40, 8).state_dict(1, 2)
    sampler = ResumableBatchSampler(40, 4, rank=1, world_size=2)
    sampler.load_state_dict(state)
    assert (sampler.epoch, sampler.start_batch) == (1, 2)


def test_a_snapshot_moves_to_batches_of_another_size_where_steps_keep_theirs():
    state = ResumableBatchSampler(40, 8).state_dict(1, 0)
    half = ResumableBatchSampler(40, 4)
    half.load_state_dict(state, divided_anew=True)
    whole = ResumableBatchSampler(40, 8)
    whole.set_epoch(1)
    pairs = list(half)
    assert [one + other for one, other in zip(pairs[::2], pairs[1::2], strict=True)] == list(whole)
    with pytest.raises(UsageError, match="seed = "):
        ResumableBatchSampler(40, 4, seed=1).load_state_dict(state, divided_anew=True)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 9}, "seed"),
        ({"length": 41}, "length"),
        ({"batch_size": 4}, "global_batch_size"),
        ({"shuffle": False}, "shuffle"),
    ],
)
def test_a_snapshot_of_other_data_is_refused(change, name):
    state = ResumableBatchSampler(40, 8).state_dict(0, 1)
    with pytest.raises(UsageError, match=f"{name} = "):
        ResumableBatchSampler(**{"length": 40, "batch_size": 8, **change}).load_state_dict(state)


@pytest.mark.parametrize(
    "arguments",
    [
        {"length": 0, "batch_size": 1},
        {"length": 1, "batch_size": 4, "world_size": 2},
        {"length": 7, "batch_size": 8, "drop_last": True},
        {"length": 9, "batch_size": 0},
        {"length": 9, "batch_size": 1, "rank": 2, "world_size": 2},
    ],
)
def test_what_cannot_be_shared_out_is_refused(arguments):
    with pytest.raises(UsageError, match="expected"):
        ResumableBatchSampler(**arguments)


def test_a_position_beyond_the_epoch_is_refused():
    with pytest.raises(UsageError, match="from 0 to 5"):
        ResumableBatchSampler(10, 2).set_epoch(0, 6)

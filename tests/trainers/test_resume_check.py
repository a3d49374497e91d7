"""A snapshot is gone on from only where what must be the same is the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ofakit.config.schema import TrainSection
from ofakit.errors import UsageError
from ofakit.trainers.resume_check import fixed_values, refuse_changes

SNAPSHOT = Path("run/checkpoints/step_4")
USUAL = fixed_values(TrainSection())


def test_values_are_named_by_their_keys_and_survive_json():
    train = TrainSection(freeze=["visual", "embeddings", "visual"], optimizer={"betas": (0.5, 0.75)})
    found = fixed_values(train)
    assert found["train.freeze"] == ["embeddings", "visual"] and found["train.optimizer.betas"] == [0.5, 0.75]
    assert found["train.precision"] == "fp32"
    assert json.loads(json.dumps(found)) == found


def test_what_may_change_between_runs_is_not_among_them():
    longer = TrainSection(
        max_epochs=9, clip_norm=None, dataloader={"workers_per_gpu": 3}, sharding="full", lr_scheduler={"power": 2.0}
    )
    assert fixed_values(longer) == USUAL
    refuse_changes(SNAPSHOT, USUAL, fixed_values(longer))


def test_where_a_step_has_its_number_of_examples_batches_may_change():
    then = fixed_values(TrainSection(examples_per_step=12, gradient_accumulation=3))
    refuse_changes(SNAPSHOT, then, fixed_values(TrainSection(examples_per_step=12, gradient_accumulation=1)))
    with pytest.raises(UsageError, match="train.examples_per_step = 12, found 24 now"):
        refuse_changes(SNAPSHOT, then, fixed_values(TrainSection(examples_per_step=24)))
    with pytest.raises(UsageError, match="train.examples_per_step = None, found 12 now"):
        refuse_changes(SNAPSHOT, USUAL, then)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "bf16"}, "train.precision = fp32, found bf16 now"),
        ({"freeze": ["visual"]}, r"train.freeze = \[\], found \['visual'\] now"),
        ({"gradient_accumulation": 4}, "train.gradient_accumulation = 1, found 4 now"),
        ({"dataloader": {"mixing": "balanced"}}, "train.dataloader.mixing = None, found balanced now"),
        ({"ema": {"decay": 0.5}}, r"train.ema = None, found \{'decay': 0.5, 'after': 0\} now"),
        ({"optimizer": {"eps": 0.5}}, "train.optimizer.eps = 1e-08, found 0.5 now"),
    ],
)
def test_each_of_them_is_refused_by_name_with_the_way_out(changes, words):
    with pytest.raises(UsageError, match=f"snapshot {SNAPSHOT} was written with {words}.*--checkpoint {SNAPSHOT}"):
        refuse_changes(SNAPSHOT, USUAL, fixed_values(TrainSection(**changes)))


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (None, "was written by an earlier version of ofakit; start a new run from its weights"),
        ({k: v for k, v in USUAL.items() if k != "train.freeze"}, r"train.freeze = None, found \[\]"),
    ],
)
def test_a_snapshot_that_does_not_say_is_refused(then, words):
    with pytest.raises(UsageError, match=words):
        refuse_changes(SNAPSHOT, then, USUAL)

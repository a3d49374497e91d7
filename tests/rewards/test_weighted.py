"""Several rewards as one."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.rewards import REWARDS
from ofakit.rewards._weighted import WeightedRewards


def test_weights_are_applied_and_the_parts_are_not():
    specs = [{"type": "length", "words": 2, "weight": 3.0}, {"type": "repetition", "order": 1}]
    total, parts = WeightedRewards(specs)(["a a a a"], [["x"]], [None])
    assert parts["length"].tolist() == [-1.0] and parts["repetition"].tolist() == [-0.75]
    assert total.tolist() == [-3.75]


def test_those_that_ask_for_it_are_shown_the_training_examples():
    rewards = WeightedRewards([{"type": "length"}, {"type": "repetition"}, {"type": "cider_d", "weight": 0.0}])
    rewards.prepare([["a dog runs"], ["a cat", "cats"]], [None, None])
    assert rewards.rewards["length"].words == 2.0
    assert rewards.rewards["cider_d"].frequency.documents == 2
    total, parts = rewards(["a dog runs", "a cat"], [["a dog runs"], ["a cat"]], [None, None])
    assert parts["cider_d"].tolist() == pytest.approx([10.0, 7.5])
    assert total.tolist() == parts["length"].tolist() == [-0.5, 0.0]


class FromOutside:
    """A reward that gives whatever it was made with."""

    def __init__(self, values: list) -> None:
        self.values = values

    def __call__(self, candidates, references, styles):
        return self.values


@pytest.fixture
def outside(monkeypatch):
    monkeypatch.setitem(REWARDS._added, "outside", FromOutside)


def test_a_reward_may_give_a_list(outside):
    total, parts = WeightedRewards([{"type": "outside", "values": [1, 2], "weight": 2}])(
        ["a", "b"], [["x"]] * 2, [None] * 2
    )
    assert total.tolist() == [2.0, 4.0] and parts["outside"].dtype == np.float64


@pytest.mark.parametrize(("values", "shape"), [([1.0], r"\(1,\)"), ([[1.0, 2.0]], r"\(1, 2\)"), ([], r"\(0,\)")])
def test_a_reward_that_does_not_give_one_number_each_is_named(outside, values, shape):
    with pytest.raises(
        UsageError, match=f"reward 'outside': expected 2 numbers, one per candidate, found shape {shape}"
    ):
        WeightedRewards([{"type": "outside", "values": values}])(["a", "b"], [["x"]] * 2, [None] * 2)


@pytest.mark.parametrize(
    "specs, words",
    [
        ([], "at least one reward.*cider_d"),
        ([{"type": "cider"}], "did you mean 'cider_d'"),
        ([{"type": "length", "wrods": 3}], "did you mean 'words'"),
        ([{"type": "length"}, {"type": "length"}], "found 'length' 2 times"),
        ([{"type": "length", "words": 0}], "above 0"),
        ([{"type": "repetition", "order": 0}], "at least 1"),
    ],
)
def test_faults_in_the_list_are_explained(specs, words):
    with pytest.raises(UsageError, match=words):
        WeightedRewards(specs)

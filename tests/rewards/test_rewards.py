"""What holds of every reward: a reference beats babble, the batch does not matter, and pickling keeps it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.rewards import REWARDS

REFERENCES = [
    ["A dog runs, fast, over the green field.", "A happy dog runs over a field."],
    ["Two red cars wait in the rain."],
    ["The old cat sleeps on a warm chair.", "A cat dreams of fish on its chair!"],
    ["A gloomy dog waits in the cold dark rain."],
]
STYLES = ["happy", "gloomy", "happy", "Gloomy"]
VARIETY = ("cider_btw",)
"""Rewards that ask whether a caption is unlike others, not whether it fits."""
WORST = ["the the the the the the the the the the the the the the the the the the"] * 4


def prepared(name, **arguments):
    reward = REWARDS.build({"type": name, **arguments})
    if hasattr(reward, "prepare"):
        reward.prepare(REFERENCES * 3, STYLES * 3)
    return reward


@pytest.mark.parametrize("name", REWARDS.names())
def test_a_reference_beats_babble_and_the_reward_survives_pickling(name):
    reward = prepared(name)
    perfect = [references[0] for references in REFERENCES]
    good, bad = reward(perfect, REFERENCES, STYLES), reward(WORST, REFERENCES, STYLES)
    assert good.shape == bad.shape == (4,) and good.dtype == np.float64
    assert good.mean() > bad.mean() or name in VARIETY
    again = pickle.loads(pickle.dumps(reward))
    np.testing.assert_array_equal(again(perfect, REFERENCES, STYLES), good)


@pytest.mark.parametrize("name", REWARDS.names())
def test_a_reward_does_not_depend_on_the_rest_of_the_batch(name):
    reward = prepared(name)
    captions = ["a happy dog runs", "a red car", "a cat on a chair", "dark cold rain and rain and rain"]
    joined = reward(captions, REFERENCES, STYLES)
    alone = [reward([c], [r], [s])[0] for c, r, s in zip(captions, REFERENCES, STYLES, strict=True)]
    np.testing.assert_allclose(joined, alone, rtol=1e-12)
    assert len(set(joined.tolist())) > 1


@pytest.mark.parametrize("name", ["cider_d", "cider_btw", "style_accuracy", "length"])
def test_a_reward_that_was_not_prepared_says_so(name):
    with pytest.raises(UsageError, match="prepare"):
        REWARDS.build({"type": name})(["a"], [["a"]], [None])

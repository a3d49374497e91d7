"""Every reward: its range, its best caption, its independence of the batch, and its faults."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.rewards import REWARDS
from ofakit.rewards._weighted import WeightedRewards
from ofakit.rewards.cider_d import ended
from ofakit.scores import cider_d, document_frequency

REFERENCES = [
    ["A dog runs, fast, over the green field.", "A happy dog runs over a field."],
    ["Two red cars wait in the rain."],
    ["The old cat sleeps on a warm chair.", "A cat dreams of fish on its chair!"],
    ["A gloomy dog waits in the cold dark rain."],
]
STYLES = ["happy", "gloomy", "happy", "Gloomy"]
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
    assert good.mean() > bad.mean()
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


def test_cider_d_takes_the_training_captions_as_its_documents_and_counts_the_end():
    reward = prepared("cider_d")
    wrapped = [[ended(text) for text in texts] for texts in REFERENCES]
    frequency = document_frequency(wrapped * 3)
    caption = "a dog runs over the field"
    expected = cider_d([ended(caption)], wrapped[:1], frequency).corpus
    assert reward([caption], REFERENCES[:1], STYLES[:1])[0] == pytest.approx(expected, abs=1e-12)
    assert frequency["<eos>"] == 12 and expected > 0
    without_end = cider_d([caption], wrapped[:1], frequency).corpus
    assert without_end != pytest.approx(expected, abs=1e-3)


def test_a_perfect_caption_gets_the_most_that_cider_d_gives():
    reward = prepared("cider_d")
    single = [[texts[0]] for texts in REFERENCES]
    captions = ["A dog runs fast over the green field", "a dog runs fast over the green", "a green field dog", ""]
    values = reward(captions, single[:1] * 4, [None] * 4)
    assert values[0] == pytest.approx(10.0) and values.argmax() == 0 and values[3] < values[2] < values[1] < 10


def test_style_accuracy_hears_styles_in_any_case_and_gives_nothing_without_one():
    reward = prepared("style_accuracy")
    captions = ["a happy dog", "a happy dog", "a gloomy rain", "a happy dog"]
    assert reward(captions, REFERENCES, ["HAPPY", "gloomy", "gloomy", None]).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_length_and_repetition_are_what_their_formulas_say():
    length = prepared("length", words=4)
    assert length(["one two three four", "one two", "1 2 3 4 5 6"], [["x"]] * 3, [None] * 3).tolist() == [0, -0.5, -0.5]
    mean = prepared("length").words
    assert mean == pytest.approx((8 + 7 + 7 + 8 + 8 + 9) / 6)
    repetition = prepared("repetition", order=2)
    found = repetition(["a b a b", "a b c d", "a"], [["x"]] * 3, [None] * 3)
    assert found.tolist() == pytest.approx([-1 / 3, 0.0, 0.0])


def test_weights_are_applied_and_the_parts_are_not():
    specs = [{"type": "length", "words": 2, "weight": 3.0}, {"type": "repetition", "order": 1}]
    total, parts = WeightedRewards(specs)(["a a a a"], [["x"]], [None])
    assert parts["length"].tolist() == [-1.0] and parts["repetition"].tolist() == [-0.75]
    assert total.tolist() == [-3.75]


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


@pytest.mark.parametrize("name", ["cider_d", "style_accuracy", "length"])
def test_a_reward_that_was_not_prepared_says_so(name):
    with pytest.raises(UsageError, match="prepare"):
        REWARDS.build({"type": name})(["a"], [["a"]], [None])


def test_style_accuracy_of_one_style_is_refused():
    with pytest.raises(UsageError, match="two styles"):
        REWARDS.build({"type": "style_accuracy"}).prepare([["a dog"]], ["happy"])

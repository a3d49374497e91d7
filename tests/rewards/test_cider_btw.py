"""CIDErBtw as a reward: minus CIDEr-D against similar images' captions, by hand and by `cider_d`'s own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.rewards.cider_btw import CiderBtw
from ofakit.rewards.cider_d import ended
from ofakit.scores import cider_d, document_frequency

REFERENCES = [
    ["a brown dog runs", "a dog runs over a field"],
    ["a black dog runs", "the dog is black"],
    ["a red car waits", "a car"],
    ["a blue car waits"],
    ["two cats sleep on a chair", "cats on a chair"],
]
NO_STYLE = [None] * len(REFERENCES)


def prepared(references=REFERENCES, styles=None, **arguments):
    reward = CiderBtw(**arguments)
    reward.prepare(references, styles or [None] * len(references))
    return reward


def test_by_hand():
    """Of four images two have "red" and two "car", whose weights are log 2 each; one has "bus", whose weight is log 4.

    "red bus" is nearest to "red car" and as long. They share the word "red" and the end, which every image has and
    which weighs nothing, and no longer n-gram.
    """
    reward = prepared([["red car"], ["red bus"], ["blue car rides"], ["a cat"]], images=1)
    assert reward.similar(["red car"], None) == ["red bus"]
    two, four = math.log(2), math.log(4)
    cosine = two * two / (math.hypot(two, two) * math.hypot(two, four))
    value = reward(["red car"], [["red car"]], [None])
    assert value.tolist() == pytest.approx([-10 * cosine / 4])


def test_it_is_minus_cider_d_with_the_captions_of_similar_images_as_references():
    reward = prepared(images=1)
    frequency = document_frequency([[ended(text) for text in texts] for texts in REFERENCES])
    captions = ["a dog runs", "a black dog", "a car waits", "a red car waits", "a cat"]
    nearest = [1, 0, 3, 2]
    for k, near in enumerate(nearest):
        theirs = [[ended(text) for text in REFERENCES[near]]]
        expected = -cider_d([ended(captions[k])], theirs, frequency).corpus
        assert reward(captions[k : k + 1], REFERENCES[k : k + 1], [None])[0] == pytest.approx(expected, abs=1e-12)
        assert expected < 0


def test_what_tells_the_image_apart_is_worth_more_than_what_fits_its_like():
    reward = prepared(images=1)
    own, of_both, theirs = reward(
        ["a brown dog over a field", "a dog runs", "a black dog runs"], REFERENCES[:1] * 3, [None] * 3
    )
    assert 0 >= own > of_both > theirs
    assert reward(["two cats sleep"], REFERENCES[:1], [None]).tolist() == [0.0]


def test_it_depends_on_neither_the_batch_nor_the_order_nor_how_often_an_image_comes():
    reward, again = prepared(images=2), prepared(REFERENCES * 3, images=2, sigma=6.0)
    captions = ["a dog", "a dog runs", "a car waits", "a red car", "cats on a chair"]
    whole = reward(captions, REFERENCES, NO_STYLE)
    assert reward(captions[::-1], REFERENCES[::-1], NO_STYLE)[::-1].tolist() == whole.tolist()
    halves = [reward(captions[a:b], REFERENCES[a:b], NO_STYLE[a:b]) for a, b in ((0, 2), (2, 5))]
    assert np.concatenate(halves).tolist() == whole.tolist()
    frequency = reward.agreement.frequency
    again.agreement.frequency = frequency
    np.testing.assert_allclose(again(captions, REFERENCES, NO_STYLE), whole, rtol=1e-12)


def test_what_another_style_says_of_an_image_costs_nothing():
    references = [["a dog runs"], ["a dog runs for love"], ["a cat sleeps"], ["a cat sleeps in love"]]
    reward = prepared(references, ["plain", "romantic", "plain", "romantic"], images=5)
    assert reward(["a dog runs"], references[:1], ["plain"])[0] > reward(["a cat sleeps"], references[:1], ["plain"])[0]
    assert reward(["a dog runs"], references[:1], ["a style of its own"]).tolist() == [0.0]


def test_counts_come_from_a_file(tmp_path):
    path = tmp_path / "reward.npz"
    document_frequency([["a dog <eos>"], ["a cat <eos>"]]).save(path)
    reward = prepared(document_frequency=str(path))
    assert reward.agreement.frequency.documents == 2
    with pytest.raises(UsageError, match="make one with"):
        CiderBtw(document_frequency=str(tmp_path / "nowhere.npz"))


def test_faults_are_explained():
    with pytest.raises(UsageError, match="at least 1 similar image, found 0"):
        CiderBtw(images=0)
    with pytest.raises(UsageError, match="two images or more in a style, found 1"):
        prepared(REFERENCES[:1])

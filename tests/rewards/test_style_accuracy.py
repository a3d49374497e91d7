"""Style accuracy as a reward: 1 for a caption in its style, whoever trained the classifier."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.rewards.style_accuracy import StyleAccuracyReward
from ofakit.scores import StyleClassifier

REFERENCES = [
    ["A dog runs, fast, over the green field.", "A happy dog runs over a field."],
    ["Two red cars wait in the rain."],
    ["The old cat sleeps on a warm chair.", "A cat dreams of fish on its chair!"],
    ["A gloomy dog waits in the cold dark rain."],
]
STYLES = ["happy", "gloomy", "happy", "Gloomy"]


def prepared() -> StyleAccuracyReward:
    reward = StyleAccuracyReward()
    reward.prepare(REFERENCES * 3, STYLES * 3)
    return reward


def test_styles_are_recognised_in_any_case_and_nothing_is_given_without_one():
    reward = prepared()
    captions = ["a happy dog", "a happy dog", "a gloomy rain", "a happy dog"]
    assert reward(captions, REFERENCES, ["HAPPY", "gloomy", "gloomy", None]).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_only_captions_with_a_style_are_learned():
    reward = StyleAccuracyReward()
    reward.prepare([*REFERENCES, ["a zebra"], ["a gnu"]], [*STYLES, None, " "])
    assert reward.classifier.styles == ["gloomy", "happy"]
    assert "zebra" not in reward.classifier.words and "gnu" not in reward.classifier.words
    assert reward(["a happy dog"] * 3, [["x"]] * 3, ["", " ", "grim"]).tolist() == [0.0] * 3


def test_a_saved_classifier_may_spell_its_styles_otherwise_and_prepare_leaves_it(tmp_path):
    path = tmp_path / "classifier.npz"
    StyleClassifier.train(["a sunny day", "a dark night"] * 4, ["Old  Man", "Gloomy"] * 4).save(path)
    reward = StyleAccuracyReward(str(path))
    reward.prepare(REFERENCES, STYLES)
    assert reward(["a sunny dog", "a dark dog"], [["x"]] * 2, ["old man", "OLD MAN"]).tolist() == [1.0, 0.0]


def test_one_style_is_refused():
    with pytest.raises(UsageError, match="two styles"):
        StyleAccuracyReward().prepare([["a dog"]], ["happy"])


def test_captions_without_words_are_refused():
    with pytest.raises(UsageError, match="captions with words"):
        StyleAccuracyReward().prepare([["..."], ["!"]], ["happy", "gloomy"])

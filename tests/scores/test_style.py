"""Style accuracy: a classifier that scikit-learn would agree with, measured on captions it has not seen."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.scores import StyleClassifier, ptb_tokenize, style_accuracy

HAPPY = ["a lovely sunny day", "a happy dog", "what a lovely smile", "a sunny happy beach"]
GLOOMY = ["a dark lonely night", "a sad dog", "what a lonely street", "a dark sad beach"]
TRAINING = HAPPY + GLOOMY, ["happy"] * 4 + ["gloomy"] * 4


@pytest.fixture(scope="module")
def classifier():
    return StyleClassifier.train(*TRAINING)


def test_style_accuracy_counts_what_the_classifier_recognises(classifier):
    found = style_accuracy(["a lovely cat", "a lonely cat", "a sunny cat"], ["happy", " HAPPY", "Happy"], classifier)
    assert found.per_item.tolist() == [1.0, 0.0, 1.0]
    assert found.corpus == pytest.approx(2 / 3)
    assert str(found) == f"style accuracy 66.7% (human captions: {classifier.human_accuracy:.1%})"


def test_held_out_human_captions_measure_the_classifier():
    held_out = ["a lovely cat", "a sad cat", "a sunny cat"], ["happy", "gloomy", "gloomy"]
    measured = StyleClassifier.train(*TRAINING, *held_out)
    assert (measured.human_accuracy, measured.human_captions) == (pytest.approx(2 / 3), 3)


def test_cross_validation_measures_without_looking(classifier):
    """Captions of random words cannot be told apart, though a classifier can learn each by heart."""
    generator = np.random.default_rng(0)
    captions = [" ".join(f"w{n}" for n in generator.integers(0, 400, 6)) for _ in range(200)]
    styles = ["x", "y"] * 100
    learned = StyleClassifier.train(captions, styles)
    assert style_accuracy(captions, styles, learned).corpus > 0.9
    assert 0.3 < learned.human_accuracy < 0.7


def test_a_style_with_one_caption_cannot_be_cross_validated():
    assert math.isnan(StyleClassifier.train(["a dog", "a cat", "a car"], ["x", "x", "y"]).human_accuracy)
    assert StyleClassifier.train(["a b", "a b", "c d", "c d"], ["x", "x", "y", "y"]).human_accuracy == 1.0


def test_it_predicts_as_scikit_learn_does():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    captions, styles = TRAINING[0] + ["blue sea", "blue sky blue"], [*TRAINING[1], "blue", "blue"]
    vectorizer = TfidfVectorizer(analyzer=str.split, sublinear_tf=True)
    machine = LinearSVC(C=0.1, random_state=0).fit(vectorizer.fit_transform(captions), styles)
    asked = ["a dog", "blue dog dog night", "sunny lonely", "unknown words", "", "lovely blue sea sea sea"]
    expected = machine.predict(vectorizer.transform(asked)).tolist()
    assert StyleClassifier.train(captions, styles).predict(asked) == expected


def test_saved_and_loaded_it_answers_the_same(classifier, tmp_path):
    path = tmp_path / "style_classifier.npz"
    classifier.save(path)
    loaded = StyleClassifier.load(path)
    assert loaded.predict(HAPPY + GLOOMY + ["zebra", ""]) == classifier.predict(HAPPY + GLOOMY + ["zebra", ""])
    assert (loaded.human_accuracy, loaded.human_captions) == (classifier.human_accuracy, classifier.human_captions)
    assert loaded.styles == ["gloomy", "happy"]


def test_flickrstyle_human_accuracy(shared):
    """The docstring's figure: about 69 of 100."""
    splits = {}
    for split in ("train", "test"):
        lines = (shared / "data" / "flickrstyle" / f"{split}.jsonl").read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        styles = [style for _ in rows for style in ("humorous", "romantic")]
        splits[split] = ptb_tokenize([row[style] for row in rows for style in ("humorous", "romantic")]), styles
    measured = StyleClassifier.train(*splits["train"], *splits["test"])
    assert measured.human_captions == 1400
    assert measured.human_accuracy == pytest.approx(0.69, abs=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: style_accuracy(["a"], ["hapy"], c), "'hapy': did you mean 'happy'"),
        (lambda c: style_accuracy(["a"], [], c), "1 captions and 0 styles"),
        (lambda c: style_accuracy([], [], c), "no captions"),
        (lambda c: style_accuracy([None], ["happy"], c), "caption 0: expected a string"),
        (lambda c: StyleClassifier.train(["a", "b"], ["x", "x"]), "two styles or more"),
        (lambda c: StyleClassifier.train(["a", "b"], ["x", "y\nz"]), "of one line"),
        (lambda c: StyleClassifier.train(["", " "], ["x", "y"]), "needs captions with words, found none in 2 captions"),
        (lambda c: StyleClassifier.load("nowhere.npz"), r"nowhere\.npz.*StyleClassifier\.train"),
    ],
)
def test_bad_style_arguments_are_named(classifier, call, message):
    with pytest.raises(UsageError, match=message):
        call(classifier)

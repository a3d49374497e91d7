"""Style accuracy, perplexity and diversity: against plain versions of their formulas, and what must always hold."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.scores import (
    StyleClassifier,
    TrigramModel,
    distinct,
    document_frequency,
    novel_share,
    ptb_tokenize,
    self_cider,
    style_accuracy,
    style_perplexity,
    vocabulary_size,
)

WORDS = st.sampled_from(["a", "dog", "cat", "runs", "sits", "on", "the", "grass", "red", "ball"])
CAPTIONS = st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=1, max_size=8)
HAPPY = ["a lovely sunny day", "a happy dog", "what a lovely smile", "a sunny happy beach"]
GLOOMY = ["a dark lonely night", "a sad dog", "what a lonely street", "a dark sad beach"]
TRAINING = HAPPY + GLOOMY, ["happy"] * 4 + ["gloomy"] * 4


@pytest.fixture(scope="module")
def classifier():
    return StyleClassifier.train(*TRAINING)


def test_style_accuracy_counts_what_the_classifier_hears(classifier):
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
        (lambda c: StyleClassifier.load("nowhere.npz"), r"nowhere\.npz.*StyleClassifier\.train"),
    ],
)
def test_bad_style_arguments_are_named(classifier, call, message):
    with pytest.raises(UsageError, match=message):
        call(classifier)


def plain_probability(captions: list[str], word: str, left: str, middle: str) -> float:
    """Interpolated Kneser-Ney by its definition, from nothing but the trigrams."""
    padded = [["<s>", "<s>", *caption.split(), "</s>"] for caption in captions]
    trigrams = Counter(t for words in padded for t in zip(words, words[1:], words[2:], strict=False))
    bigrams = Counter((b, c) for _, b, c in trigrams)
    unigrams = Counter(c for _, c in bigrams)

    def discount(counts: Counter) -> float:
        once, twice = (sum(n == k for n in counts.values()) for k in (1, 2))
        return once / (once + 2 * twice) if once else 0.5

    def smooth(count: int, followers: list[int], rate: float, lower: float) -> float:
        if not followers:
            return lower
        return (max(count - rate, 0) + rate * len(followers) * lower) / sum(followers)

    lowest = smooth(unigrams[word], list(unigrams.values()), discount(unigrams), 1 / (len(unigrams) + 1))
    after_one = [n for (b, _), n in bigrams.items() if b == middle]
    lower = smooth(bigrams[middle, word], after_one, discount(bigrams), lowest)
    after_two = [n for (a, b, _), n in trigrams.items() if (a, b) == (left, middle)]
    return smooth(trigrams[left, middle, word], after_two, discount(trigrams), lower)


@settings(max_examples=60, deadline=None)
@given(captions=CAPTIONS, left=WORDS, middle=WORDS)
def test_trigram_probabilities_as_defined_and_they_sum_to_one(captions, left, middle):
    model = TrigramModel(captions)
    for context in ((left, middle), ("<s>", middle), ("<s>", "<s>")):
        everything = [model.probability(word, *context) for word in (*model.vocabulary, "an unknown word")]
        assert sum(everything) == pytest.approx(1.0, abs=1e-12)
        assert min(everything) > 0
        for word in ("dog", "</s>", "zebra"):
            assert model.probability(word, *context) == pytest.approx(plain_probability(captions, word, *context))


def test_perplexity_is_the_inverse_geometric_mean_and_prefers_what_it_learned():
    captions = ["a dog runs", "a dog sleeps", "a cat runs"]
    model = TrigramModel(captions)
    found = model.perplexity(["a dog", "dog a zebra", ""])
    steps = [("a", "<s>", "<s>"), ("dog", "<s>", "a"), ("</s>", "a", "dog")]
    product = math.prod(plain_probability(captions, *step) for step in steps)
    assert found.per_item[0] == pytest.approx(product ** (-1 / 3))
    assert found.per_item[0] < found.per_item[1]
    assert np.isfinite(found.per_item).all()
    assert found.per_item.min() < found.corpus < found.per_item.max()


def test_each_style_is_judged_by_its_own_model():
    models = {"happy": TrigramModel(HAPPY), "gloomy": TrigramModel(GLOOMY)}
    found = style_perplexity(["a happy dog", "a sad dog", "a lovely smile"], ["happy", "gloomy", "happy"], models)
    assert (
        found["happy"].per_item.tolist()
        == models["happy"].perplexity(["a happy dog", "a lovely smile"]).per_item.tolist()
    )
    assert found["gloomy"].corpus < style_perplexity(["a sad dog"], ["happy"], models)["happy"].corpus
    with pytest.raises(UsageError, match="no trigram model for the style 'sad'"):
        style_perplexity(["a"], ["sad"], models)
    with pytest.raises(UsageError, match="a style for each candidate"):
        style_perplexity(["a"], [], models)


@pytest.mark.parametrize("call", [lambda: TrigramModel([]), lambda: TrigramModel(["a"]).perplexity([])])
def test_perplexity_of_nothing_is_refused(call):
    with pytest.raises(UsageError):
        call()


@settings(max_examples=60, deadline=None)
@given(captions=CAPTIONS)
def test_diversity_in_range(captions):
    for n in (1, 2):
        assert 0 <= distinct(captions, n) <= 1
    assert distinct(captions + captions, 1) <= distinct(captions, 1)
    assert vocabulary_size(captions) == vocabulary_size(captions + captions[::-1])
    assert novel_share(captions, captions) == 0
    assert novel_share(captions, []) == 1


@settings(max_examples=60, deadline=None)
@given(
    sets=st.lists(st.lists(st.lists(WORDS, max_size=8).map(" ".join), min_size=2, max_size=4), min_size=1, max_size=4)
)
def test_self_cider_in_range_and_the_same_in_any_order(sets):
    found = self_cider(sets).per_item
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(self_cider([one[::-1] for one in sets]).per_item, found, atol=1e-7)


def test_self_cider_as_defined():
    sets = [["a dog runs on grass", "a dog runs off", "two dogs"], ["a red car", "a car"], ["birds sing", "birds sing"]]

    def ngrams(text: str) -> list[list[str]]:
        words = text.split()
        return [[" ".join(words[i : i + n]) for i in range(len(words) - n + 1)] for n in range(1, 5)]

    grams = [ngrams(text) for text in sets[0]]
    known = [{gram for text in one for order in ngrams(text) for gram in order} for one in sets]

    def cosine(left: list[str], right: list[str]) -> float:
        weight = {g: np.log(3 / max(1, sum(g in one for one in known))) for g in {*left, *right}}
        a, b = ([one.count(g) * weight[g] for g in weight] for one in (left, right))
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        return float(np.dot(a, b) / norms) if norms else 0.0

    kernel = np.array([[np.mean([cosine(x, y) for x, y in zip(a, b, strict=True)]) for b in grams] for a in grams])
    roots = np.sqrt(np.linalg.eigvalsh(kernel))
    expected = -np.log(roots.max() / roots.sum()) / np.log(3)
    for found in (self_cider(sets), self_cider(sets, document_frequency(sets))):
        assert found.per_item[0] == pytest.approx(expected)
        assert found.per_item[2] == 0


def test_diversity_of_what_cannot_be_measured_is_refused():
    with pytest.raises(UsageError, match="two captions or more of image 1"):
        self_cider([["a", "b"], ["a"]])
    with pytest.raises(UsageError, match="n of 1 or more"):
        distinct(["a"], 0)
    with pytest.raises(UsageError, match="no candidates"):
        novel_share([], ["a"])
    assert distinct([""], 2) == 0.0

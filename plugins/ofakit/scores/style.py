"""Does a caption sound like the style that was requested? A classifier trained on the training captions decides.

    classifier = StyleClassifier.train(captions, styles, held_out_captions, held_out_styles)
    classifier.save("work_dir/run/style_classifier.npz")
    print(style_accuracy(candidates, wanted_styles, classifier))

TF-IDF of words and a linear support vector machine, one style against the rest (scikit-learn). Such a classifier is
far from perfect: on FlickrStyle it recognises about 69 of 100 captions that people wrote. So its accuracy on human
captions is saved with it and shown beside every score.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ofakit.data.style_names import same_style
from ofakit.errors import UsageError, did_you_mean
from ofakit.scores.array_files import load_arrays, pack_strings, save_arrays, unpack_strings
from ofakit.scores.score import MissingScoreError

__all__ = ["StyleAccuracy", "StyleClassifier", "style_accuracy"]

_KIND = "ofakit style classifier 1"
_REGULARISATION = 0.1
_FOLDS = 5


class StyleAccuracy(NamedTuple):
    """How often the classifier recognises the requested style.

    Attributes:
        corpus: Share of the candidates, from 0 to 1.
        per_item: Float64, shape (items,): 1 where the style was recognised, else 0.
        human: The share it recognises of captions that people wrote; NaN if it could not be measured.
    """

    corpus: float
    per_item: np.ndarray
    human: float

    def __str__(self) -> str:
        return f"style accuracy {self.corpus:.1%} (human captions: {self.human:.1%})"


class StyleClassifier:
    """A linear classifier of tokenized captions; made by `train` or `load`.

    Args:
        styles: The styles it tells apart.
        words: Its vocabulary.
        idf: Inverse document frequency of each word, shape (words,).
        coefficients: Shape (styles, words).
        intercepts: Shape (styles,).
        human_accuracy: Share of human captions it recognises.
        human_captions: On how many of them that was measured.
    """

    def __init__(
        self,
        styles: Sequence[str],
        words: Sequence[str],
        idf: np.ndarray,
        coefficients: np.ndarray,
        intercepts: np.ndarray,
        human_accuracy: float,
        human_captions: int,
    ) -> None:
        self.styles, self.words = list(styles), list(words)
        self.idf, self.coefficients, self.intercepts = idf, coefficients, intercepts
        self.human_accuracy, self.human_captions = human_accuracy, human_captions
        self._index = {word: number for number, word in enumerate(words)}

    @classmethod
    def train(
        cls,
        captions: Sequence[str],
        styles: Sequence[str],
        human_captions: Sequence[str] | None = None,
        human_styles: Sequence[str] | None = None,
    ) -> StyleClassifier:
        """Train on human captions.

        Args:
            captions: Tokenized training captions.
            styles: The style of each.
            human_captions: Held-out tokenized captions to measure the classifier on; without them it is measured by
                five-fold cross-validation on the training captions, with fewer folds if a style has fewer captions, and
                not at all (NaN) if a style has only one.
            human_styles: The style of each of these.

        Raises:
            UsageError: Captions and styles differ in number, there are fewer than two styles, or no caption has a word.
            MissingScoreError: There is no scikit-learn.
        """
        _check(captions, styles)
        if len(set(styles)) < 2:
            raise UsageError(f"a style classifier needs two styles or more, found {sorted(set(styles))}")
        if not any(caption.split() for caption in captions):
            raise UsageError(f"a style classifier needs captions with words, found none in {len(captions)} captions")
        classifier = cls._fit(captions, styles)
        if human_captions is None or human_styles is None:
            classifier.human_accuracy = _cross_validated(captions, styles)
            classifier.human_captions = len(captions)
        else:
            _check(human_captions, human_styles)
            classifier.human_accuracy = _share(classifier.predict(human_captions), human_styles)
            classifier.human_captions = len(human_captions)
        return classifier

    @classmethod
    def _fit(cls, captions: Sequence[str], styles: Sequence[str]) -> StyleClassifier:
        vectorizer = _scikit_learn("feature_extraction.text").TfidfVectorizer(analyzer=str.split, sublinear_tf=True)
        machine = (
            _scikit_learn("svm")
            .LinearSVC(C=_REGULARISATION, random_state=0)
            .fit(vectorizer.fit_transform(captions), styles)
        )
        coefficients, intercepts = machine.coef_, machine.intercept_
        if len(machine.classes_) == 2:
            coefficients, intercepts = np.vstack((-coefficients, coefficients)), np.append(-intercepts, intercepts)
        words = vectorizer.get_feature_names_out().tolist()
        return cls(machine.classes_.tolist(), words, vectorizer.idf_, coefficients, intercepts, float("nan"), 0)

    def predict(self, captions: Sequence[str]) -> list[str]:
        """The most likely style of each tokenized caption."""
        return [self.styles[int(np.argmax(self._margins(caption)))] for caption in captions]

    def _margins(self, caption: str) -> np.ndarray:
        counts = Counter(self._index[word] for word in caption.split() if word in self._index)
        if not counts:
            return self.intercepts
        columns = np.fromiter(counts, np.int64, len(counts))
        values = (1 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))) * self.idf[columns]
        return self.coefficients[:, columns] @ (values / np.linalg.norm(values)) + self.intercepts

    def save(self, path: str | Path) -> None:
        """Write it to `path` (NumPy's npz, without pickle).

        Args:
            path: The file; its folder must exist.
        """
        save_arrays(
            path, _KIND, styles=pack_strings(self.styles), words=pack_strings(self.words), idf=self.idf,
            coefficients=self.coefficients, intercepts=self.intercepts,
            human=np.array([self.human_accuracy, self.human_captions]),
        )  # fmt: skip

    @classmethod
    def load(cls, path: str | Path) -> StyleClassifier:
        """Read what `save` wrote.

        Args:
            path: The file.

        Raises:
            UsageError: The file is missing, or is not a style classifier of this version.
        """
        names = ("styles", "words", "idf", "coefficients", "intercepts", "human")
        stored = load_arrays(path, _KIND, names, "train one with StyleClassifier.train")
        accuracy, captions = stored["human"]
        styles, words = unpack_strings(stored["styles"]), unpack_strings(stored["words"])
        arrays = (stored["idf"], stored["coefficients"], stored["intercepts"])
        return cls(styles, words, *arrays, float(accuracy), int(captions))


def style_accuracy(candidates: Sequence[str], styles: Sequence[str], classifier: StyleClassifier) -> StyleAccuracy:
    """The share of candidates in which the classifier recognises the requested style.

    Args:
        candidates: Tokenized captions.
        styles: The style each candidate was asked for; case, white space and Unicode form do not matter.
        classifier: Trained on the training captions of the same styles.

    Raises:
        UsageError: The lists differ in length, or the classifier does not know a style.

    >>> words = {"happy": "a lovely sunny day", "gloomy": "a dark lonely night"}
    >>> classifier = StyleClassifier.train([*words.values()] * 5, [*words] * 5)
    >>> accuracy = style_accuracy(["a sunny dog", "a lonely dog"], ["happy", "happy"], classifier)
    >>> print(accuracy)
    style accuracy 50.0% (human captions: 100.0%)
    """
    _check(candidates, styles)
    known = {style: same_style(style) for style in classifier.styles}
    wanted, taught = [same_style(style) for style in styles], set(known.values())
    for style, key in zip(styles, wanted, strict=True):
        if key not in taught:
            raise UsageError(f"the classifier was not trained on the style {style!r}: {did_you_mean(style, known)}")
    recognised = [known[style] for style in classifier.predict(candidates)]
    per_item = np.array([found == asked for found, asked in zip(recognised, wanted, strict=True)], dtype=np.float64)
    return StyleAccuracy(float(per_item.mean()), per_item, classifier.human_accuracy)


def _scikit_learn(module: str) -> Any:
    """A module of scikit-learn, which only training needs."""
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ModuleNotFoundError:
        raise MissingScoreError("training a style classifier needs scikit-learn: pip install scikit-learn") from None


def _cross_validated(captions: Sequence[str], styles: Sequence[str]) -> float:
    """The share of captions recognised by classifiers that were trained without them, a fifth left out at a time."""
    folds = min(_FOLDS, *Counter(styles).values())
    if folds < 2:
        return float("nan")
    right, splitter = 0, _scikit_learn("model_selection").StratifiedKFold
    for train, held_out in splitter(folds, shuffle=True, random_state=0).split(captions, styles):
        classifier = StyleClassifier._fit([captions[i] for i in train], [styles[i] for i in train])
        found = classifier.predict([captions[i] for i in held_out])
        right += sum(found[k] == styles[i] for k, i in enumerate(held_out))
    return right / len(captions)


def _share(found: Sequence[str], wanted: Sequence[str]) -> float:
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(wanted)


def _check(captions: Sequence[str], styles: Sequence[str]) -> None:
    if len(captions) != len(styles):
        raise UsageError(f"expected a style for each caption, found {len(captions)} captions and {len(styles)} styles")
    if not captions:
        raise UsageError("there are no captions")
    for noun, strings in (("caption", captions), ("style", styles)):
        for number, text in enumerate(strings):
            if not isinstance(text, str) or (noun == "style" and "\n" in text):
                raise UsageError(f"{noun} {number}: expected a string of one line, found {text!r}")

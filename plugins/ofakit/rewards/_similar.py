"""The training images that are most alike by what people said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ofakit.errors import UsageError
from ofakit.rewards._words import plain
from ofakit.text.styles import same_style

__all__ = ["SimilarImages"]

_Image = tuple[str | None, tuple[str, ...]]


class SimilarImages:
    """For the captions of an image, those of the images nearest to it; picklable.

    Nearness is the cosine between the tf-idf vectors of the words of all captions of an image. Only images in the same
    style are near each other: what another style says of the same image, or of any, is not what a caption is to be
    told apart from. Images with the same captions in a style are one.

    Args:
        references: Of each training example.
        styles: Of each training example, or None.
        count: How many images are nearest.
        segmentation: What a word is in a script without spaces, as in `scores.segmentation`.

    Raises:
        UsageError: No style has two images, or no caption has a word.

    >>> references = [["a red car"], ["a black dog"], ["a brown dog"], ["the red car"]]
    >>> SimilarImages(references, [None] * 4, count=1)(["a black dog"], None)
    ['a brown dog']
    """

    def __init__(
        self,
        references: Sequence[Sequence[str]],
        styles: Sequence[str | None],
        count: int,
        segmentation: str = "characters",
    ) -> None:
        self.count, self.segmentation = count, segmentation
        pairs = zip(styles, references, strict=True)
        images = list(dict.fromkeys(_image(texts, style) for style, texts in pairs))
        self.captions: dict[str | None, list[tuple[str, ...]]] = {}
        self.places: dict[_Image, int] = {}
        for style, texts in images:
            of_style = self.captions.setdefault(style, [])
            self.places[style, texts] = len(of_style)
            of_style.append(texts)
        if max(map(len, self.captions.values()), default=0) < 2:
            raise UsageError(
                f"expected training captions of two images or more in a style, found {len(images)} that differ: there "
                "is nothing to tell a caption apart from"
            )
        self.vectorizer = self._fitted(images)
        self.vectors = {style: self._vectors(of_style) for style, of_style in self.captions.items()}
        self.found: dict[_Image, list[str]] = {}

    def __call__(self, references: Sequence[str], style: str | None) -> list[str]:
        """All captions of the nearest images, nearest first; of images as near the one that was given first.

        Args:
            references: All captions of an image, of training or not.
            style: Its style, or None. In a style without other images nothing is near.
        """
        image = _image(references, style)
        if image not in self.found:
            self.found[image] = self._nearest(image)
        return self.found[image]

    def _nearest(self, image: _Image) -> list[str]:
        style, own = image
        if style not in self.captions:
            return []
        vectors, place = self.vectors[style], self.places.get(image)
        vector = self._vectors([own])[0] if place is None else vectors[place]
        cosines = vectors @ vector.toarray()[0]
        if place is not None:
            cosines[place] = -1.0
        count = min(self.count, len(cosines) - (place is not None))
        near = _largest(cosines, count).tolist()
        return [text for other in near for text in self.captions[style][other]]

    def _fitted(self, images: Sequence[_Image]) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        documents = [self._document(texts) for _, texts in images]
        if not any(documents):
            raise UsageError(f"expected training captions with words, found none in those of {len(images)} images")
        return TfidfVectorizer(analyzer=str.split).fit(documents)

    def _vectors(self, images: Sequence[tuple[str, ...]]) -> Any:
        """A sparse row of length 1 for each image."""
        return self.vectorizer.transform([self._document(texts) for texts in images])

    def _document(self, texts: Sequence[str]) -> str:
        return " ".join(plain(text, self.segmentation) for text in texts).strip()


def _image(references: Sequence[str], style: str | None) -> _Image:
    """What images are told apart by."""
    return None if style is None else same_style(style), tuple(references)


def _largest(numbers: np.ndarray, count: int) -> np.ndarray:
    """The places of the largest, in falling order; of equal ones the first come first."""
    if not count:
        return np.empty(0, np.int64)
    least = np.partition(numbers, -count)[-count]
    places = np.flatnonzero(numbers >= least)
    return places[np.argsort(-numbers[places], kind="stable")][:count]

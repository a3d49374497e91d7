"""CLIPScore and RefCLIPScore are the formulas of the paper, item by item."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.scores import clip_score, ref_clip_score


@pytest.fixture
def vectors():
    """Images, captions and one to three references each, in eight dimensions."""
    generator = np.random.default_rng(0)
    references = [generator.normal(size=(1 + item % 3, 8)) for item in range(30)]
    return generator.normal(size=(30, 8)), generator.normal(size=(30, 8)), references


def cosine(one, other):
    return float(one @ other / np.sqrt(one @ one) / np.sqrt(other @ other))


def test_each_item_is_the_formula(vectors):
    images, captions, references = vectors
    seen = [2.5 * max(cosine(image, caption), 0) for image, caption in zip(images, captions, strict=True)]
    assert 0 < np.count_nonzero(seen) < 30
    found = clip_score(images, captions)
    np.testing.assert_allclose(found.per_item, seen, rtol=1e-12)
    assert found.corpus == pytest.approx(np.mean(seen))
    said = [max(0, *(cosine(c, r) for r in own)) for c, own in zip(captions, references, strict=True)]
    expected = [0 if a + b == 0 else 2 * a * b / (a + b) for a, b in zip(seen, said, strict=True)]
    found = ref_clip_score(images, captions, references)
    np.testing.assert_allclose(found.per_item, expected, rtol=1e-12)
    assert found.corpus == pytest.approx(np.mean(expected)) and np.isfinite(found.per_item).all()


def test_neither_lengths_nor_the_order_of_references_matter(vectors):
    images, captions, references = vectors
    stretched = ref_clip_score(3 * images, captions / 7, [own[::-1] * 5 for own in references])
    np.testing.assert_allclose(stretched.per_item, ref_clip_score(images, captions, references).per_item, rtol=1e-12)


def test_the_range_is_as_said():
    one = np.array([[1.0, 2.0]])
    assert clip_score(one, one).corpus == pytest.approx(2.5)
    assert ref_clip_score(one, one, [one]).corpus == pytest.approx(10 / 7)
    assert clip_score(one, -one).corpus == ref_clip_score(one, -one, [one]).corpus == 0


@pytest.mark.parametrize(
    ("images", "captions", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 3)), r"as many images as candidates, found shapes \(2, 3\) and \(3, 3\)"),
        (np.ones((0, 3)), np.ones((0, 3)), r"images: expected vectors of shape \(n, d\), n from 1 up"),
        (np.array([[1.0], [np.nan]]), np.ones((2, 1)), r"images\[1\]: expected a finite vector other than 0"),
        (np.ones((2, 1)), np.array([[0.0], [1.0]]), r"candidates\[0\]: expected a finite vector other than 0"),
    ],
)
def test_what_cannot_be_scored_is_named(images, captions, message):
    with pytest.raises(UsageError, match=message):
        clip_score(images, captions)


def test_an_item_without_references_is_refused():
    one = np.ones((2, 3))
    with pytest.raises(UsageError, match=r"expected references for each of 2 items, found 2 with \[1, 0\]"):
        ref_clip_score(one, one, [one[:1], one[:0]])
    with pytest.raises(UsageError, match="expected references for each of 2 items, found 1"):
        ref_clip_score(one, one, [one])

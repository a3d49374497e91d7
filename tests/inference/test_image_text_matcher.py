"""Pairs of images and texts are scored as the reranker scores them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.inference import ImageTextMatcher, rerank

TEXTS = ["a red dog", "a cat at the sea", "a garden", "a red dog"]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_pairs_are_scored_as_each_alone(bundle, examples, batch_size):
    bundle.objectives = ("itm",)
    pairs = [(example.image, text) for text in TEXTS for example in examples]
    scores = ImageTextMatcher(bundle, batch_size=batch_size).score(pairs)
    wanted = [dict(rerank(bundle, [image], [None], [[text]])[0])[text] for image, text in pairs]
    np.testing.assert_allclose(scores, wanted, atol=1e-6)
    assert np.ptp(scores) > 1e-6 and ((scores >= 0) & (scores <= 1)).all()


def test_an_image_that_cannot_be_read_is_nan_and_the_others_are_answered(bundle, examples, tmp_path):
    bundle.objectives = ("itm",)
    (tmp_path / "broken.png").write_bytes(b"no image")
    examples[1].image.save(tmp_path / "fine.png")
    images = [str(tmp_path / name) for name in ("missing.png", "fine.png", "broken.png", "fine.png")]
    scores = ImageTextMatcher(bundle).score([(image, "a dog") for image in images])
    assert np.isnan(scores).tolist() == [True, False, True, False] and scores[1] == scores[3]
    assert np.isnan(ImageTextMatcher(bundle).score([(images[0], "a dog")])).all()


def test_a_model_without_matching_is_refused(bundle):
    bundle.objectives = ("cross_entropy",)
    with pytest.raises(UsageError, match="objective itm"):
        ImageTextMatcher(bundle)

"""BLEU-4 as a reward."""

from __future__ import annotations

import numpy as np
import pytest
from ofakit.rewards.bleu4 import Bleu4
from ofakit.scores import bleu


def test_it_is_the_score_of_plain_words_for_each_caption():
    captions = ["A dog runs, on grass.", "Two red cars wait", ""]
    references = [["a dog runs on the GRASS!"], ["two red cars wait.", "x"], ["y"]]
    found = Bleu4()(captions, references, [None] * 3)
    plain = bleu(
        ["a dog runs on grass", "two red cars wait", ""],
        [["a dog runs on the grass"], ["two red cars wait", "x"], ["y"]],
    )
    np.testing.assert_array_equal(found, plain[3].per_item)
    expected = [np.exp(1 - 6 / 5) * (1 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4), 1.0, 0.0]
    assert found.tolist() == pytest.approx(expected, abs=1e-8)

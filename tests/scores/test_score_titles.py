"""What scores are called."""

import pytest
from ofakit.scores.score_titles import title


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bleu4", "BLEU-4"),
        ("mrr@100", "MRR@100"),
        ("rbp.95", "RBP.95"),
        ("mine", "mine"),
        ("", ""),
        ("a\nb@1", "a\nb@1"),
    ],
)
def test_titles(name, expected):
    assert title(name) == expected

"""ROUGE-L by hand."""

from __future__ import annotations

import pytest
from ofakit.scores import rouge_l


def f_measure(precision: float, recall: float) -> float:
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)


@pytest.mark.parametrize(
    ("candidate", "references", "expected"),
    [
        ("police kill the gunman", ["police killed the gunman"], f_measure(3 / 4, 3 / 4)),
        ("the gunman kill police", ["police killed the gunman"], f_measure(2 / 4, 2 / 4)),
        ("the gunman police killed", ["police killed the gunman"], f_measure(2 / 4, 2 / 4)),
        ("a b", ["a x b y"], f_measure(1, 1 / 2)),
        ("a x b y", ["a b"], f_measure(1 / 2, 1)),
        ("a a a", ["a"], f_measure(1 / 3, 1)),
        ("a b", ["c d"], 0.0),
        ("a b c d", ["a b c d"], 1.0),
    ],
)
def test_as_counted_by_hand(candidate, references, expected):
    """The first two are the paper's example, in section 3.1."""
    assert rouge_l([candidate], [references]).corpus == pytest.approx(expected, abs=1e-15)


def test_precision_and_recall_may_come_from_different_references():
    precise, complete = "a b c d x x x x", "a b"
    assert rouge_l(["a b c d"], [[precise, complete]]).corpus == pytest.approx(1.0)
    alone = [rouge_l(["a b c d"], [[reference]]).corpus for reference in (precise, complete)]
    assert alone == pytest.approx([f_measure(1, 1 / 2), f_measure(1 / 2, 1)])


def test_texts_are_split_at_single_spaces():
    """A double space makes an empty word, an empty text is one, and a tab does not split."""
    assert rouge_l(["a  dog"], [["a dog"]]).corpus == pytest.approx(f_measure(2 / 3, 1))
    assert rouge_l(["", ""], [[""], ["a dog"]]).per_item.tolist() == [1.0, 0.0]
    assert rouge_l(["a\tdog"], [["a dog"]]).corpus == 0.0
    assert rouge_l(["a\tdog runs"], [["a\tdog sits"]]).corpus == pytest.approx(1 / 2)


def test_the_corpus_score_is_the_mean_over_items():
    found = rouge_l(["a b", "a b"], [["a b"], ["c", "a x"]])
    assert found.per_item.tolist() == pytest.approx([1.0, 1 / 2])
    assert found.corpus == pytest.approx(3 / 4)

"""The reward against repetition."""

from __future__ import annotations

import math

import pytest
from ofakit.errors import UsageError
from ofakit.rewards.repetition import Repetition


@pytest.mark.parametrize(
    ("order", "caption", "expected"),
    [
        (1, "a a a a", -3 / 4),
        (1, "a A, a.", -2 / 3),
        (2, "a b a b", -1 / 3),
        (2, "a b c d", 0.0),
        (2, "a", 0.0),
        (3, "a a a a a", -2 / 3),
        (2, "", 0.0),
    ],
)
def test_as_its_formula_says(order, caption, expected):
    (found,) = Repetition(order)([caption], [["x"]], [None])
    assert found == pytest.approx(expected)
    assert math.copysign(1, found) == (-1 if expected else 1), "no -0.0 in the logs"


def test_an_order_below_one_is_refused():
    with pytest.raises(UsageError, match="order of at least 1, found 0"):
        Repetition(0)

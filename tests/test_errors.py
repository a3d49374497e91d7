"""Errors carry what people need to read, and a misspelt name is answered with the nearest."""

from __future__ import annotations

import pytest
from ofakit.errors import OfakitError, UsageError, did_you_mean


def test_bad_usage_is_one_of_our_errors_and_a_value_error():
    with pytest.raises(OfakitError, match="expected a, found b") as caught:
        raise UsageError("expected a, found b", key="images")
    assert isinstance(caught.value, ValueError) and caught.value.key == "images"
    assert UsageError("no component is to blame").key is None


@pytest.mark.parametrize(
    ("name", "available", "said"),
    [
        ("imags", ["styles", "images", "seed"], "did you mean 'images'? Available: images, seed, styles"),
        ("seeds", iter(["seed"]), "did you mean 'seed'? Available: seed"),
        ("sted", ["seed", "step", "steed"], "did you mean 'steed'? Available: seed, steed, step"),
        ("", ["b", "a"], "available: a, b"),
        ("zzz", {"b": 1, "a": 2}, "available: a, b"),
        ("seed", [], "none is available"),
    ],
)
def test_the_nearest_name_comes_first_and_all_are_listed(name, available, said):
    assert did_you_mean(name, available) == said

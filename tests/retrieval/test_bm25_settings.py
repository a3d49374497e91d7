"""Settings of BM25: equal when they are the same, and refused when out of range."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ofakit.errors import UsageError
from ofakit.retrieval import BM25Settings


def test_settings_are_equal_when_they_are_the_same():
    assert replace(BM25Settings(), k1=1.5) == BM25Settings() != BM25Settings(k1=1.4)
    assert BM25Settings(k1=0.0, b=0.0, delta=0.0) and BM25Settings(b=1.0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"variant": "bm25"}, "unknown variant of BM25 'bm25': did you mean 'bm25"),
        ({"k1": -1}, "expected k1 >= 0, 0 <= b <= 1 and delta >= 0, found -1, 0.75 and 0.5"),
        ({"b": 1.5}, "found 1.5, 1.5 and 0.5"),
        ({"delta": -0.1}, "found 1.5, 0.75 and -0.1"),
        ({"k1": 0, "variant": "bm25l"}, "the variant bm25l needs k1 above 0, found 0"),
        ({"k1": 0, "variant": "bm25+"}, "the variant bm25\\+ needs k1 above 0, found 0"),
    ],
)
def test_what_is_out_of_range_is_refused(keys, message):
    with pytest.raises(UsageError, match=message):
        BM25Settings(**keys)

"""Batches by the number of their tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.retrieval.token_batches import token_batches


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 120), st.integers(1, 9))
def test_every_item_is_in_one_batch_and_no_batch_is_too_large(lengths, max_tokens, max_items):
    batches = [batch.tolist() for batch in token_batches(lengths, max_tokens, max_items)]
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = max(lengths[position] for position in batch) * len(batch)
        assert len(batch) <= max_items and (padded <= max_tokens or len(batch) == 1)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_longest_come_first_and_equal_ones_in_order(lengths):
    order = [position for batch in token_batches(lengths, 64) for position in batch.tolist()]
    assert order == sorted(range(len(lengths)), key=lambda position: (-lengths[position], position))


@pytest.mark.parametrize(("tokens", "items"), [(0, 1), (1, 0)])
def test_no_room_is_refused(tokens, items):
    with pytest.raises(UsageError, match="expected batches of 1 token and 1 item or more"):
        token_batches([1], tokens, items)

"""Batches by the number of their tokens, not of their items, so that each costs about the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofakit.errors import UsageError

__all__ = ["token_batches"]


def token_batches(lengths: Sequence[int], max_tokens: int, max_items: int = 128) -> list[np.ndarray]:
    """Divide items into batches of similar length, longest first, so that memory is known after the first.

    Args:
        lengths: Tokens of each item.
        max_tokens: The most that a batch has once its items are padded to the longest; a longer item stands alone.
        max_items: The most items of a batch.

    Returns:
        Positions of the items of each batch; every item is in one, and the same lengths give the same batches.

    Raises:
        UsageError: A limit is below 1.

    >>> [batch.tolist() for batch in token_batches([3, 9, 4, 2, 3], max_tokens=8)]
    [[1], [2, 0], [4, 3]]
    """
    if max_tokens < 1 or max_items < 1:
        raise UsageError(f"expected batches of 1 token and 1 item or more, found {max_tokens} and {max_items}")
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    batches, first = [], 0
    while first < len(order):
        longest = max(1, lengths[order[first]])
        size = min(max_items, max(1, max_tokens // longest))
        batches.append(order[first : first + size])
        first += size
    return batches

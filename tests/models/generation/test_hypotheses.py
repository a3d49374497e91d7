"""Bans, seeds, and what is an integer."""

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.generation.hypotheses import Banned, banned_after, example_seeds, is_integer, repeated_ngrams
from ofakit.models.generation.protocol import SpecialTokens
from ofakit.models.generation.settings import SearchSettings

SPECIAL = SpecialTokens(bos=0, pad=1, eos=2)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4])
def test_repeated_ngrams_are_those_of_a_plain_search(size):
    rows = torch.randint(3, 6, (20, 12), generator=torch.Generator().manual_seed(0))
    rows[:, 0] = SPECIAL.bos
    for length in range(1, 12):
        found = repeated_ngrams(rows, length, size, SPECIAL.pad)
        for place, row in enumerate(rows[:, :length].tolist()):
            seen = {tuple(row[start : start + size]) for start in range(length - size + 1)} if size else set()
            ending = tuple(row[length - size + 1 :]) if size > 1 else ()
            wanted = {gram[-1] for gram in seen if gram[:-1] == ending}
            banned = set() if found is None else {*found[place].tolist()} - {SPECIAL.pad}
            assert banned == wanted, (length, row)


@pytest.mark.parametrize(("step", "everywhere"), [(0, [1, 2]), (1, [1, 2]), (2, [1])])
def test_eos_is_banned_before_the_least_length_and_pad_always(step, everywhere):
    settings = SearchSettings.checked(min_length=2, no_repeat_ngram_size=0)
    assert banned_after(torch.zeros(1, 5, dtype=torch.long), step, settings, SPECIAL) == Banned(everywhere, None)


def test_a_ban_sets_logits_to_minus_infinity_in_place():
    logits = torch.zeros(2, 5)
    Banned([1], torch.tensor([[3, 3], [4, 1]])).apply(logits)
    assert (logits == -torch.inf).tolist() == [[False, True, False, True, False], [False, True, False, False, True]]


def test_seeds():
    assert example_seeds(7, 3) == [7, 8, 9] == example_seeds(torch.tensor(7), 3) == example_seeds(np.int64(7), 3)
    assert example_seeds([3, np.int32(1)], 2) == [3, 1] == example_seeds(torch.tensor([3, 1]), 2)
    torch.manual_seed(1)
    drawn = example_seeds(None, 2)
    torch.manual_seed(1)
    assert example_seeds(None, 2) == drawn and drawn[0] != drawn[1]
    assert example_seeds(-(2**63), 1) == [-(2**63)] and example_seeds([2**64 - 1], 1) == [2**64 - 1]
    for seed in ([1, 2, 3], 1.0, [1, 2.0], "12", [2**64, 0]):
        with pytest.raises(UsageError, match="seed: expected an integer or one per example, 2, found"):
            example_seeds(seed, 2)


@pytest.mark.parametrize(
    ("value", "found"),
    [(3, True), (np.int8(3), True), (0, False), (6, False), (3.0, False), ("3", False), (None, False)],
)
def test_integers_of_a_range(value, found):
    assert is_integer(value, 1, 5) is found

"""A grid is every combination, the last parameter changing fastest."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps.searches.grid import GridSearch
from ofakit.sweeps.space import Parameter


def test_every_combination_is_proposed_once():
    search = GridSearch()
    space = {"style": Parameter(choices=["a", "b"]), "n": Parameter(low=1, high=3, integer=True)}
    search.begin(space, seed=0, rule="max")
    expected = [{"style": style, "n": n} for style in ("a", "b") for n in (1, 2, 3)]
    assert search.total == 6 and [search.propose(number) for number in range(6)] == expected
    assert search.plan(space, seed=1) == expected


def test_a_range_without_a_step_is_refused_by_its_name():
    with pytest.raises(
        UsageError, match="parameters.lr: a grid needs a list of values, or a range with step or points"
    ):
        GridSearch().begin({"lr": Parameter(low=0, high=1)}, seed=0, rule="max")

"""Random combinations: as many as asked for, no two alike, the same for the same seed."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.sweeps.searches.random import RandomSearch
from ofakit.sweeps.space import Parameter

SPACE = {"lr": Parameter(low=1e-5, high=1e-3, log=True), "kind": Parameter(choices=["a", "b"])}


def planned(runs, seed):
    search = RandomSearch(runs=runs)
    search.begin(SPACE, seed, "max")
    assert search.total == runs
    return [search.propose(number) for number in range(runs)]


def test_there_are_as_many_combinations_as_runs_and_all_differ():
    found = planned(12, seed=3)
    assert len({tuple(parameters.items()) for parameters in found}) == 12
    assert all(1e-5 <= p["lr"] <= 1e-3 and p["kind"] in ("a", "b") for p in found)


def test_more_runs_prolong_the_plan_and_another_seed_changes_it():
    assert planned(12, seed=3)[:5] == planned(5, seed=3) != planned(5, seed=4)


def test_more_runs_than_combinations_are_refused():
    with pytest.raises(UsageError, match="search.runs is 3 and the parameters have only 2 combinations"):
        RandomSearch(runs=3).begin({"kind": Parameter(choices=["a", "b"])}, 0, "max")

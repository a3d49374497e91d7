"""Successive halving: random combinations, which Ray ends early by keys that must fit together."""

from __future__ import annotations

import pytest
from ofakit.sweeps.searches.asha import ASHASearch
from ofakit.sweeps.searches.random import RandomSearch
from ofakit.sweeps.space import Parameter
from pydantic import ValidationError

SPACE = {"lr": Parameter(low=1e-5, high=1e-3, log=True)}


def test_the_runs_start_as_those_of_a_random_search():
    search = ASHASearch(runs=4, max_steps=8, grace_steps=8)
    search.begin(SPACE, 3, "max")
    assert search.total == 4 and search.engines == ("ray",) and search.reduction_factor == 4
    assert [search.propose(number) for number in range(4)] == RandomSearch(runs=4).plan(SPACE, 3)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"grace_steps": 9}, "grace_steps 9 is more than max_steps 8"),
        ({"reduction_factor": 1}, "greater than 1"),
        ({"runs": 0}, "greater than or equal to 1"),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(keys, said):
    with pytest.raises(ValidationError, match=said):
        ASHASearch(**{"runs": 4, "max_steps": 8, "grace_steps": 2, **keys})

"""Population-based training: random combinations to start with, and keys that must fit together."""

from __future__ import annotations

import pytest
from ofakit.sweeps.searches.pbt import PBTSearch
from ofakit.sweeps.searches.random import RandomSearch
from ofakit.sweeps.space import Parameter
from pydantic import ValidationError

SPACE = {"lr": Parameter(low=1e-5, high=1e-3, log=True)}


def test_the_population_starts_as_a_random_search():
    search = PBTSearch(runs=4, max_steps=8, interval_steps=7)
    search.begin(SPACE, 3, "max")
    assert search.total == 4 and search.engines == ("ray",) and (search.quantile, search.resample) == (0.25, 0.25)
    assert [search.propose(number) for number in range(4)] == RandomSearch(runs=4).plan(SPACE, 3)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"interval_steps": 8}, "interval_steps 8 is not less than max_steps 8"),
        ({"quantile": 0.6}, "less than or equal to 0.5"),
        ({"resample": -0.1}, "greater than or equal to 0"),
        ({"runs": 1}, "greater than or equal to 2"),
    ],
)
def test_keys_that_do_not_fit_together_are_refused(keys, said):
    with pytest.raises(ValidationError, match=said):
        PBTSearch(**{"runs": 4, "max_steps": 8, "interval_steps": 2, **keys})

"""A search whose runs are known from the start: planned once, and indifferent to how they go."""

from __future__ import annotations

from typing import Literal

import pytest
from ofakit.sweeps.record import Record
from ofakit.sweeps.search_base import Search
from ofakit.sweeps.searches import SEARCHES
from ofakit.sweeps.space import Parameter, grid

SPACE = {"gain": Parameter(choices=[1.0, 2.0])}


class Backwards(Search):
    """A grid from its end."""

    type: Literal["backwards"] = "backwards"

    def plan(self, space, seed):
        return [{**parameters, "seed": seed} for parameters in reversed(grid(space))]


def test_the_plan_is_proposed_by_number():
    search = Backwards()
    assert search.total == 0
    search.begin(SPACE, 5, "max")
    assert search.total == 2
    assert [search.propose(number) for number in (1, 0)] == [{"gain": 1.0, "seed": 5}, {"gain": 2.0, "seed": 5}]


def test_what_becomes_of_the_runs_changes_nothing():
    search = Backwards()
    search.begin(SPACE, 5, "max")
    done = Record(0, {"gain": 2.0}, "done", "", 0.0, result={"cider": 1.0}).scored_by("cider")
    search.recall(done)
    search.reopen(1, {"gain": 1.0})
    assert search.report(1, 10, float("-inf")) is False
    search.finish(done)
    assert search.total == 2 and search.propose(1) == {"gain": 1.0, "seed": 5}


def test_a_search_must_have_a_plan():
    with pytest.raises(NotImplementedError):
        Search(type="none").begin(SPACE, 0, "max")


@pytest.mark.parametrize("name", SEARCHES.names())
def test_every_search_is_called_like_its_file_and_says_who_can_start_its_runs(name):
    search = SEARCHES.get(name)
    assert issubclass(search, Search)
    assert search.model_fields["type"].default == name
    assert search.engines and set(search.engines) <= {"local", "ray"}

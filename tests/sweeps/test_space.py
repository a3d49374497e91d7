"""What a parameter may be, and the combinations that a grid and a random search make of several."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.sweeps.space import Parameter, draw, grid
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("keys", "values"),
    [
        ({"choices": ["a", None, [1, 2]]}, ["a", None, [1, 2]]),
        ({"low": 1, "high": 3, "integer": True}, [1, 2, 3]),
        ({"low": 0, "high": 0.3, "step": 0.1}, [0.0, 0.1, 0.2, 0.3]),
        ({"low": 0, "high": 1, "step": 0.4}, [0.0, 0.4, 0.8]),
        ({"low": 1e-5, "high": 1e-3, "log": True, "points": 3}, [1e-5, 1e-4, 1e-3]),
        ({"low": 1, "high": 2, "integer": True, "points": 5}, [1, 2]),
    ],
)
def test_a_grid_takes_these_values(keys, values):
    assert Parameter(**keys).values() == values


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "expected a list of values, or a range"),
        ({"low": 1}, "needs both low and high"),
        ({"low": 2, "high": 1}, "low must be smaller than high"),
        ({"low": 0, "high": 1, "log": True}, "needs low > 0"),
        ({"low": 1, "high": 2, "log": True, "step": 0.1}, "log and step exclude each other"),
        ({"low": 0.5, "high": 2, "integer": True}, "whole numbers"),
        ({"choices": [1], "low": 0}, "exclude each other"),
        ([], "at least 1 item"),
    ],
)
def test_what_is_neither_a_list_nor_a_range_is_refused(given, said):
    with pytest.raises(ValidationError, match=said):
        Parameter.model_validate(given)


@given(
    low=st.floats(1e-6, 1e3),
    ratio=st.floats(1.001, 1e3),
    log=st.booleans(),
    integer=st.booleans(),
    seed=st.integers(0, 9),
)
def test_a_draw_lies_within_the_range(low, ratio, log, integer, seed):
    low, high = (max(1, int(low)), int(low) + 1 + int(ratio)) if integer else (low, low * ratio)
    value = Parameter(low=low, high=high, log=log, integer=integer).draw(random.Random(seed))
    assert low * (1 - 1e-5) <= value <= high * (1 + 1e-5)
    assert isinstance(value, int) == integer


def test_a_logarithmic_range_is_even_in_its_logarithm():
    parameter, generator = Parameter(low=1e-6, high=1.0, log=True), random.Random(0)
    small = sum(parameter.draw(generator) < 1e-3 for _ in range(2000))
    assert 900 < small < 1100


def test_a_grid_is_every_combination_once():
    found = grid({"a": Parameter(choices=[1, 2]), "b": Parameter(low=0, high=2, integer=True)})
    assert [(c["a"], c["b"]) for c in found] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


def test_a_grid_over_a_bare_range_says_what_is_missing():
    with pytest.raises(UsageError, match="parameters.lr: .*step or points"):
        grid({"lr": Parameter(low=0, high=1)})


def test_more_random_runs_prolong_the_list():
    space = {"lr": Parameter(low=0, high=1), "seed": Parameter(choices=[1, 2, 3])}
    assert draw(space, 20, seed=3)[:7] == draw(space, 7, seed=3)
    assert draw(space, 7, seed=3) != draw(space, 7, seed=4)


def test_random_combinations_are_all_different_and_their_number_is_checked():
    space = {"a": Parameter(choices=[1, 2, 3]), "b": Parameter(low=0, high=1, step=0.5)}
    assert sorted((c["a"], c["b"]) for c in draw(space, 9, seed=0)) == sorted((c["a"], c["b"]) for c in grid(space))
    with pytest.raises(UsageError, match="search.runs is 10 and the parameters have only 9"):
        draw(space, 10, seed=0)


@pytest.mark.parametrize(
    ("keys", "value", "nearest"),
    [
        ({"low": 0, "high": 1}, 1.2, 1.0),
        ({"low": 1, "high": 9, "integer": True}, 3.6, 4),
        ({"low": 0, "high": 1, "step": 0.4}, 1.1, 0.8),
        ({"choices": ["a"]}, "a", "a"),
    ],
)
def test_a_value_from_outside_is_brought_back(keys, value, nearest):
    assert Parameter(**keys).nearest(value) == nearest


@pytest.mark.parametrize(
    ("keys", "ends"),
    [
        ({"choices": ["a", "b", "c"]}, ["a", "b", "c"]),
        ({"low": 1e-5, "high": 1e-3, "log": True}, [1e-5, 1e-3]),
        ({"low": 1, "high": 9, "integer": True}, [1, 9]),
    ],
)
def test_the_ends_show_whether_a_parameter_is_accepted(keys, ends):
    found = Parameter(**keys).ends()
    assert found == ends and [type(value) for value in found] == [type(value) for value in ends]


@pytest.mark.parametrize("keys", [{"integer": True}, {"step": 1}])
def test_a_draw_from_a_huge_range_makes_no_list_of_it(keys):
    parameter, generator = Parameter(low=0, high=2**50, **keys), random.Random(0)
    drawn = [parameter.draw(generator) for _ in range(3)]
    assert len(set(drawn)) == 3 and all(0 <= value <= 2**50 for value in drawn)


@pytest.mark.parametrize(
    ("keys", "finite"),
    [
        ({"choices": [1]}, True),
        ({"low": 0, "high": 1}, False),
        ({"low": 0, "high": 1, "step": 0.5}, True),
        ({"low": 1, "high": 2, "integer": True, "log": True}, True),
    ],
)
def test_only_a_range_of_real_numbers_is_endless(keys, finite):
    assert Parameter(**keys).is_finite() is finite


def test_a_list_of_choices_has_no_limits():
    assert Parameter(low=1, high=3).limits == (1, 3)
    with pytest.raises(TypeError, match="only a range has limits"):
        Parameter(choices=[1]).limits  # noqa: B018

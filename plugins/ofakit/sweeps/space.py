"""What one parameter of a sweep may be: one of a list, or a number in a range.

{"train.optimizer.lr": {"low": 1e-5, "high": 1e-3, "log": true}, "seed": [1, 2, 3],
 "train.max_epochs": {"low": 1, "high": 4, "integer": true}}
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, model_validator

from ofakit.config.section import Section
from ofakit.errors import UsageError

__all__ = ["Parameter", "draw", "grid"]


class Parameter(Section):
    """A list of values, or a range of numbers."""

    choices: list[Any] | None = Field(None, min_length=1, description="the values; a bare list means this")
    low: float | None = Field(None, description="lower end of a range")
    high: float | None = Field(None, description="upper end of a range, inclusive")
    log: bool = Field(False, description="draw numbers evenly on a logarithmic scale")
    integer: bool = Field(False, description="whole numbers only")
    step: float | None = Field(None, gt=0, description="distance between the numbers of a range")
    points: int | None = Field(
        None, ge=2, le=1_000_000, description="number of values that a grid takes from the range"
    )

    @model_validator(mode="before")
    @classmethod
    def _a_list_means_choices(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return given
        if isinstance(given, list):
            return {"choices": given}
        raise ValueError(f"expected a list of values, or a range such as {{'low': 0, 'high': 1}}, found {given!r}")

    @model_validator(mode="after")
    def _is_one_of_the_two(self) -> Parameter:
        if self.choices is not None:
            for key in ("low", "high", "log", "integer", "step", "points"):
                if getattr(self, key) is not None and getattr(self, key) is not False:
                    raise ValueError(f"choices and {key} exclude each other; give either a list or a range")
            return self
        if self.low is None or self.high is None:
            raise ValueError("a range needs both low and high")
        if not self.low < self.high:
            raise ValueError(f"low must be smaller than high, found {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic range needs low > 0, found {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other; use points for a grid")
        if self.integer and any(n is not None and n != int(n) for n in (self.low, self.high, self.step)):
            raise ValueError("an integer range needs whole numbers for low, high and step")
        return self

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number of a range; a list of choices has none."""
        if self.low is None or self.high is None:
            raise TypeError("only a range has limits, not a list of choices")
        return self.low, self.high

    def steps(self, step: float) -> int:
        """How many steps fit into the range.

        Args:
            step: The length of one.

        >>> Parameter(low=0, high=0.3).steps(0.1)
        3
        """
        low, high = self.limits
        # 0.3 / 0.1 is a little less than 3.
        return math.floor((high - low) / step + 1e-9)

    def values(self) -> list[Any]:
        """What a grid takes.

        Returns:
            The choices, or the numbers of the range.

        Raises:
            UsageError: The range has neither a step nor a number of points.

        >>> Parameter(low=1, high=100, log=True, points=3, integer=True).values()
        [1, 10, 100]
        """
        if self.choices is not None:
            return list(self.choices)
        if self.points is not None:
            places = [self._at(i / (self.points - 1)) for i in range(self.points)]
            return list(dict.fromkeys(places))
        step = self.step or (1 if self.integer and not self.log else None)
        if step is None:
            raise UsageError("a grid needs a list of values, or a range with step or points")
        low, _ = self.limits
        return [self._number(low + i * step) for i in range(self.steps(step) + 1)]

    def ends(self) -> list[Any]:
        """Values that show whether the configuration accepts the parameter: the choices, or both ends of the range."""
        return list(self.choices) if self.choices is not None else [self._at(0.0), self._at(1.0)]

    def draw(self, generator: random.Random) -> Any:
        """One value at random.

        Args:
            generator: The source of randomness.
        """
        if self.choices is not None:
            return generator.choice(self.choices)
        step = self.step or (1 if self.integer and not self.log else None)
        if step is None:
            return self._at(generator.random())
        low, _ = self.limits
        return self._number(low + generator.randrange(self.steps(step) + 1) * step)

    def nearest(self, value: Any) -> Any:
        """The value of the parameter that is nearest to one that may lie outside of it.

        Args:
            value: One of the choices, or any number.

        >>> Parameter(low=0, high=1, step=0.25).nearest(0.9)
        1.0
        """
        if self.choices is not None:
            return value
        if self.step is not None:
            low, _ = self.limits
            value = low + self.step * min(max(round((value - low) / self.step), 0), self.steps(self.step))
        return self._number(value)

    def is_finite(self) -> bool:
        """Whether there are finitely many values to draw."""
        return self.choices is not None or self.integer or self.step is not None

    def _at(self, share: float) -> Any:
        """The number at a share of the way from low to high."""
        low, high = self.limits
        if self.log:
            return self._number(math.exp(math.log(low) * (1 - share) + math.log(high) * share))
        return self._number(low * (1 - share) + high * share)

    def _number(self, value: float) -> int | float:
        """Rounded to a whole number where asked for, else to six digits, which are enough and read well in a table."""
        low, high = self.limits
        value = min(max(value, low), high)
        return round(value) if self.integer else float(f"{value:.6g}")


def grid(space: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Every combination; the last parameter changes fastest.

    Args:
        space: The parameters.

    Raises:
        UsageError: A range has neither a step nor a number of points.

    >>> grid({"a": Parameter(choices=[1, 2]), "b": Parameter(choices=["x", "y"])})[1]
    {'a': 1, 'b': 'y'}
    """
    columns = []
    for key, parameter in space.items():
        try:
            columns.append(parameter.values())
        except UsageError as error:
            raise UsageError(f"parameters.{key}: {error}") from None
    return [dict(zip(space, combination, strict=True)) for combination in itertools.product(*columns)]


def draw(space: Mapping[str, Parameter], runs: int, seed: int) -> list[dict[str, Any]]:
    """Random combinations, no two alike; more runs make the list longer and leave its beginning as it was.

    Args:
        space: The parameters.
        runs: How many combinations.
        seed: Of the random generator.

    Raises:
        UsageError: There are fewer combinations than runs.

    >>> draw({"a": Parameter(choices=[1, 2, 3])}, runs=3, seed=0)
    [{'a': 2}, {'a': 1}, {'a': 3}]
    """
    if all(parameter.is_finite() for parameter in space.values()):
        _check_there_are_enough(list(space.values()), runs)
    generator = random.Random(seed)
    drawn: list[dict[str, Any]] = []
    while len(drawn) < runs:
        candidate = {key: parameter.draw(generator) for key, parameter in space.items()}
        if candidate not in drawn:
            drawn.append(candidate)
    return drawn


def _check_there_are_enough(parameters: Sequence[Parameter], runs: int) -> None:
    """Refuse to look for more different combinations than there are."""
    combinations = 1
    for parameter in parameters:
        if parameter.choices is not None:
            different = [v for i, v in enumerate(parameter.choices) if v not in parameter.choices[:i]]
            combinations *= len(different)
        else:
            combinations *= parameter.steps(parameter.step or 1) + 1
    if combinations < runs:
        raise UsageError(
            f"search.runs is {runs} and the parameters have only {combinations} combinations; "
            "lower search.runs, or use the search type grid"
        )

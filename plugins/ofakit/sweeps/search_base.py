"""What every search is: its keys in the sweep's file, and an answer to "which parameters does run n get?"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import PrivateAttr

from ofakit.config.section import Section
from ofakit.sweeps.space import Parameter

if TYPE_CHECKING:
    from ofakit.sweeps.record import Record

__all__ = ["Search"]


class Search(Section):
    """A search whose runs are all known from the start. One that learns from its runs overrides more.

    A sweep calls `begin`, then `recall` or `reopen` for every run of earlier sessions in the order of their numbers,
    then `propose` for new runs, and `report` and `finish` as the runs proceed.
    """

    engines: ClassVar[tuple[str, ...]] = ("local", "ray")
    type: str

    _planned: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    def begin(self, space: Mapping[str, Parameter], seed: int, rule: Literal["max", "min"]) -> None:
        """Get ready.

        Args:
            space: The parameters.
            seed: Of every random choice.
            rule: Whether a higher or a lower metric is better.

        Raises:
            UsageError: The search cannot be made over these parameters.
        """
        self._planned = self.plan(space, seed)

    def plan(self, space: Mapping[str, Parameter], seed: int) -> list[dict[str, Any]]:
        """The parameters of every run, by number.

        Args:
            space: The parameters.
            seed: Of every random choice.
        """
        raise NotImplementedError

    @property
    def total(self) -> int:
        """How many runs there will be."""
        return len(self._planned)

    def propose(self, number: int) -> dict[str, Any]:
        """The parameters of a run that has not been started.

        Args:
            number: The run's number, from 0.
        """
        return self._planned[number]

    def recall(self, record: Record) -> None:
        """Learn about a run that ended in an earlier session of the sweep.

        Args:
            record: What is known about it.
        """

    def reopen(self, number: int, parameters: Mapping[str, Any]) -> None:
        """Learn about a run that was interrupted and now continues.

        Args:
            number: The run's number.
            parameters: What it was started with.
        """

    def report(self, number: int, step: int, value: float) -> bool:
        """Learn about an evaluation of a run that is training.

        Args:
            number: The run's number.
            step: Updates done.
            value: The metric.

        Returns:
            Whether the run is hopeless and should be ended.
        """
        return False

    def finish(self, record: Record) -> None:
        """Learn about a run that has just ended.

        Args:
            record: What is known about it.
        """

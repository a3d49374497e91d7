"""Objectives that learn from groups of examples, and the groups that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ofakit.errors import UsageError, did_you_mean
from ofakit.objectives.base import Objective

__all__ = ["refuse_groups"]


def refuse_groups(objectives: Mapping[str, Objective], groups: Sequence[str | None], mixing: str | None) -> None:
    """Refuse objectives whose groups do not exist or are not kept apart, and groups that no objective learns from.

    Args:
        objectives: Those of a run, or of one of its tasks, by name.
        groups: The group of each training example.
        mixing: How the groups take turns; None where they are not kept apart.

    Raises:
        UsageError: They do not fit together.
    """
    there = {group for group in groups if group is not None}
    for name, objective in objectives.items():
        if objective.groups is not None and mixing is None:
            raise UsageError(
                f"the objective {name!r} learns from groups, {', '.join(objective.groups)}; set mixing to balanced or "
                "proportional, so that each step has one group",
                "mixing",
            )
        for group in objective.groups or ():
            if group not in there:
                raise UsageError(
                    f"objective {name!r}: there are no examples of the group {group!r}; {did_you_mean(group, there)}"
                )
    learned = [objective.groups for objective in objectives.values()]
    for group in sorted(there) if learned and None not in learned else ():
        if not any(group in (names or ()) for names in learned):
            raise UsageError(f"no objective learns from the group {group!r}; remove its data, or add an objective")

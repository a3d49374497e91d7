"""Which groups and objectives fit together."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.objectives._groups import refuse_groups
from ofakit.objectives.cross_entropy import CrossEntropy


def learning(*groups):
    objectives = {}
    for number, names in enumerate(groups):
        objectives[f"o{number}"] = CrossEntropy()
        objectives[f"o{number}"].groups = names
    return objectives


@pytest.mark.parametrize("mixing", ["balanced", "proportional"])
def test_every_group_needs_an_objective_and_every_objective_its_groups(mixing):
    refuse_groups(learning(["a"], ["b"]), ["a", "b", "b"], mixing)
    refuse_groups(learning(["a"], None), ["a", "b"], mixing)
    refuse_groups(learning(), ["a"], mixing)
    with pytest.raises(UsageError, match="no objective learns from the group 'b'"):
        refuse_groups(learning(["a"]), ["a", "b"], mixing)
    with pytest.raises(UsageError, match="objective 'o1': there are no examples of the group 'c'"):
        refuse_groups(learning(["a"], ["c"]), ["a"], mixing)


def test_groups_must_be_kept_apart():
    refuse_groups(learning(None), ["a", None], None)
    with pytest.raises(UsageError, match="'o0' learns from groups, a; set mixing to balanced"):
        refuse_groups(learning(["a"]), ["a"], None)

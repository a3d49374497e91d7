"""The section `vqa`."""

from __future__ import annotations

import pytest
from ofakit.config import parse_config
from ofakit.errors import UsageError


def section(**keys):
    return parse_config({"data": {"reader": {"type": "given"}}, "vqa": keys}).vqa


@pytest.mark.parametrize("answers", [None, 3129, ["yes", "no"], "answers.txt"])
def test_the_closed_list_is_said_in_four_ways(answers):
    found = section(inference="rank", answers=answers)
    assert (found.inference, found.answers) == ("rank", answers) and section().inference == "generate"


@pytest.mark.parametrize("keys", [{"inference": "guess"}, {"answers": 0}, {"answers": 2_000_000}, {"answers": [1]}])
def test_other_values_are_refused(keys):
    with pytest.raises(UsageError, match="vqa"):
        section(**keys)

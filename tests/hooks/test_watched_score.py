"""The score that a hook watches, or the name of the nearest."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.hooks.watched_score import watched_score


def test_the_score_is_found_by_its_name():
    assert watched_score({"cider": 0.5, "bleu4": 0.25}, "bleu4", "BestSnapshotHook") == 0.25


def test_a_score_that_is_not_there_is_answered_with_the_nearest_and_the_hook():
    with pytest.raises(UsageError) as caught:
        watched_score({"cider": 0.5, "bleu4": 0.25}, "bleu-4", "BestSnapshotHook")
    assert str(caught.value) == (
        "train.hooks: BestSnapshotHook watches metric_key 'bleu-4', which no evaluation reports: "
        "did you mean 'bleu4'? Available: bleu4, cider"
    )

"""The score that a hook's `metric_key` names, among those of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping

from ofakit.errors import UsageError, did_you_mean

__all__ = ["watched_score"]


def watched_score(scores: Mapping[str, float], metric_key: str, hook: str) -> float:
    """The score to watch.

    Args:
        scores: The scores of an evaluation, by name.
        metric_key: The name of one of them.
        hook: The hook's type, for the message.

    Raises:
        UsageError: The evaluation has no such score.
    """
    if metric_key not in scores:
        near = did_you_mean(metric_key, scores)
        raise UsageError(f"train.hooks: {hook} watches metric_key {metric_key!r}, which no evaluation reports: {near}")
    return scores[metric_key]

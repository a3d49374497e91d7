"""What a resumed run must have in common with the one that wrote its snapshot.

A difference would otherwise lead to a state that does not fit, or be silently overridden by the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofakit.config.schema import TrainSection
from ofakit.errors import UsageError

__all__ = ["fixed_values", "refuse_changes"]


def fixed_values(train: TrainSection, others: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values that must not change, by key, as they are after a round trip through JSON.

    Args:
        train: The section `train`.
        others: Further values, such as a fingerprint of the data.
    """
    optimizer = train.optimizer.model_dump(mode="json")
    step = "gradient_accumulation" if train.examples_per_step is None else "examples_per_step"
    return {
        "train.precision": train.precision,
        "train.freeze": sorted(set(train.freeze)),
        f"train.{step}": getattr(train, step),
        "train.dataloader.mixing": train.dataloader.mixing,
        "train.ema": train.ema and train.ema.model_dump(mode="json"),
        **{f"train.optimizer.{key}": value for key, value in optimizer.items()},
        **(others or {}),
    }


def refuse_changes(snapshot: Path, then: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """Compare the values of a snapshot with those of this run.

    Args:
        snapshot: Its path, for the message.
        then: `fixed_values` of the run that wrote it; None if it does not record them.
        now: `fixed_values` of this run.

    Raises:
        UsageError: A value differs.
    """
    cure = f"start a new run from its weights: --checkpoint {snapshot}"
    if then is None:
        raise UsageError(f"cannot resume: the snapshot {snapshot} was written by an earlier version of ofakit; {cure}")
    for key, value in now.items():
        if then.get(key) != value:
            raise UsageError(
                f"cannot resume: the snapshot {snapshot} was written with {key} = {then.get(key)}, found {value} now; "
                f"resume with the former, or {cure}"
            )

"""Which task each batch belongs to when several tasks are trained.

    schedule({"vqa": 3, "caption": 2}, "roundrobin", epoch=0)       # ['caption', 'caption', 'vqa', 'vqa', 'vqa']

- roundrobin: each task has as many turns as its data has batches, in a shuffled order.
- balanced: each has as many as the others, all of them together as many as there are batches; a task with fewer batches
  than turns is gone through again, and one with more is not seen whole.
- proportional: as many as it has batches, spread evenly over the epoch.

Source: j-min/VL-T5 `VL-T5/src/multitask_data.py` (`MultitaskLoader`), whose order depends on the epoch alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Literal

__all__ = ["Mixing", "schedule"]

Mixing = Literal["roundrobin", "balanced", "proportional"]
"""How tasks are mixed."""


def schedule(batches: Mapping[str, int], mixing: Mixing, epoch: int) -> list[str]:
    """The task of every batch of an epoch.

    Args:
        batches: How many batches the data of each task has, in the order of the tasks.
        mixing: How they are mixed.
        epoch: Counted from 0.

    >>> schedule({"caption": 7, "vqa": 1}, "roundrobin", 0)
    ['caption', 'vqa', 'caption', 'caption', 'caption', 'caption', 'caption', 'caption']
    >>> schedule({"caption": 4, "vqa": 2}, "proportional", 0)
    ['caption', 'vqa', 'caption', 'caption', 'vqa', 'caption']
    """
    if mixing == "proportional":
        return _spread(batches)
    share = sum(batches.values()) // len(batches)
    turns = [name for name, count in batches.items() for _ in range(share if mixing == "balanced" else count)]
    random.Random(epoch).shuffle(turns)
    return turns[::-1]  # the original takes the tasks from the end of its list


def _spread(batches: Mapping[str, int]) -> list[str]:
    """Each task's turns in the middle of as many equal parts of the epoch."""
    middles = [
        ((turn + 0.5) / count, place, name)
        for place, (name, count) in enumerate(batches.items())
        for turn in range(count)
    ]
    return [name for _, _, name in sorted(middles)]

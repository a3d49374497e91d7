"""Rewards: captions in, numbers out. `REWARDS.build({"type": "cider_d"})` makes one by its file's name.

A reward is a picklable callable `fn(candidates, references, styles) -> (items,) float64`; each item has one candidate,
all its references, and the style it was asked for, or None. If a reward has a method `prepare(references, styles)`,
that is called first, with the references and styles of the training examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofakit.registry import Registry

    REWARDS: Registry

__all__ = ["REWARDS"]


def __getattr__(name: str) -> Any:
    if name != "REWARDS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ofakit.registry import Registry

    globals()[name] = Registry("reward", __name__)
    return globals()[name]

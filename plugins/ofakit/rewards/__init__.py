"""Rewards: captions in, numbers out. `REWARDS.build({"type": "cider_d"})` makes one by its file's name.

A reward is a picklable callable `fn(candidates, references, styles) -> (items,) float64`; each item has one candidate,
all its references, and the style it was asked for, or None. If a reward has a method `prepare(references, styles)`,
that is called first, with the references and styles of the training examples.
"""

from __future__ import annotations

from ofakit.registry import Registry

__all__ = ["REWARDS"]

REWARDS = Registry("reward", __name__)

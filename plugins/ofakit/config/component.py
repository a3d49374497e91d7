"""A member of a room, as a configuration names it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Component"]


class Component(BaseModel):
    """A member of a room, named by `type`; its other keys are checked against that member's arguments."""

    model_config = ConfigDict(extra="allow")

    type: str

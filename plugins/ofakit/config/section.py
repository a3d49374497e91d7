"""Shared by all sections of a configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SEEDS", "PathText", "Section"]

PathText = Annotated[str, Field(max_length=4096, pattern="^[^\\x00]*$")]
"""A file, a folder or a hub id: no system takes a longer name, nor one with a null character."""

SEEDS = 2**32 - 1
"""The largest seed that numpy takes."""


class Section(BaseModel):
    """A part of the configuration; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

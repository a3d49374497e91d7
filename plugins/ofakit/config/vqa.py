"""How questions about images are answered: by generating text, or with the most likely answer of a closed list.

{"vqa": {"inference": "generate"}}
{"vqa": {"inference": "rank", "answers": 3129}}
{"vqa": {"inference": "rank", "answers": ["yes", "no"]}}
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ofakit.config.section import PathText, Section

__all__ = ["VqaSection"]


class VqaSection(Section):
    """How questions about images are answered."""

    inference: Literal["generate", "rank"] = Field(
        "generate", description="generate: as `generation` says; rank: the most likely answer of a closed list"
    )
    answers: list[str] | Annotated[int, Field(ge=1, le=1_000_000)] | PathText | None = Field(
        None,
        description="the closed list: the answers themselves, a file with one per line, or the number of most "
        "frequent training answers to take; null: all training answers",
    )

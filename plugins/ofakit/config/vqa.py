"""How questions about images are answered: in words of the model's own, or by the likeliest of a closed list.

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
        "generate", description="generate: by `generation`; rank: the answer of a closed list that is the likeliest"
    )
    answers: list[str] | Annotated[int, Field(ge=1, le=1_000_000)] | PathText | None = Field(
        None,
        description="the closed list: its answers, a file with one a line, or how many of the most frequent answers of "
        "the training questions; null: all of these",
    )

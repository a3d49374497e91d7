"""Answers to a visitor's clicks: captions or passages as HTML, or a message that says what was wrong.

    desk = Desk(captioner=Captioner.from_pretrained("work_dir/quickstart/output"))
    await desk.captions("/tmp/uploads/dog.png", ["pirate"], "search", 3, 1, 1.0)

Captions, passages, names and messages are anyone's: they become HTML through `reports.template` alone, which escapes.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ofakit.data.query import Query
from ofakit.demo.jobs import CaptionJob, SearchJob, job_queue
from ofakit.demo.passage_search import Hit, PassageSearch
from ofakit.errors import UsageError
from ofakit.inference.captioner import Captioner, CaptionResult
from ofakit.reports.template import renderer
from ofakit.reports.thumbnails import picture
from ofakit.serving.batching import QueueClosed, QueueFull
from ofakit.serving.checks import check_number, check_styles
from ofakit.serving.limits import Limits
from ofakit.serving.uploads import UploadDecoder

__all__ = ["LONGEST_TEXT", "MOST_BEAMS", "MOST_CAPTIONS", "MOST_PASSAGES", "SAMPLE", "SEARCH", "Desk", "render", "told"]

SEARCH, SAMPLE = "search", "sample"
"""The ways to make captions."""
LONGEST_TEXT = 2000
"""Characters of a text to search by."""
MOST_BEAMS, MOST_CAPTIONS, MOST_PASSAGES = 20, 10, 50
"""Of what a visitor chooses by a slider."""

render = renderer(Path(__file__).parent / "templates")

Answered = TypeVar("Answered", bound=Callable[..., Awaitable[str]])


def told(answer: Answered) -> Answered:
    """Let an answer be a message where the visitor can cure what is wrong; a fault stays one.

    Args:
        answer: A coroutine function that gives HTML.
    """

    @wraps(answer)
    async def telling(*arguments: Any) -> str:
        try:
            return await answer(*arguments)
        except (UsageError, QueueFull, QueueClosed) as error:
            return render("message.html", message=str(error))

    return telling  # type: ignore[return-value]


class Desk:
    """A captioner, a search or both, with the queue and the thread that computes for all visitors.

    Args:
        captioner: From now on only the desk's thread may use it.
        search: Likewise.
        limits: How much is taken.

    Attributes:
        answered: How many captions and searches there were.
    """

    def __init__(
        self, captioner: Captioner | None = None, search: PassageSearch | None = None, limits: Limits | None = None
    ) -> None:
        self.captioner = captioner
        self.search = search
        self.limits = limits or Limits()
        self.queue = job_queue(self.limits)
        self.decoder = UploadDecoder(self.limits)
        self.answered = {"captions": 0, "searches": 0}

    @told
    async def captions(
        self, image: str | None, styles: Sequence[str], way: str, beams: float, number: float, temperature: float
    ) -> str:
        """Captions of an image, side by side.

        Args:
            image: The uploaded file, or None.
            styles: Those to write in; none for a caption without a style.
            way: `SEARCH` or `SAMPLE`.
            beams: Width of the beam.
            number: Captions a style.
            temperature: Of sampling.

        Returns:
            HTML.
        """
        captioner = _there(self.captioner, "captions")
        if image is None:
            raise UsageError("Choose an image first.")
        check_styles(captioner, styles)
        check_number(len(styles), self.limits)
        generation = generation_of(way, beams, number, temperature)
        captioner.how(generation)
        square = await self._square(image, captioner.image_size)
        job = CaptionJob(captioner, tuple(generation.items()))
        wanted: Sequence[str | None] = styles or [None]
        found: list[CaptionResult] = await self.queue.answers([(job, (square, style)) for style in wanted])
        self.answered["captions"] += len(found)
        return render("captions.html", results=found)

    @told
    async def passages(self, text: str | None, image: str | None, index: str, number: float) -> str:
        """Passages that a text, an image or both find.

        Args:
            text: What is searched for, or nothing.
            image: The uploaded file, or None.
            index: The name of an index.
            number: Passages at most.

        Returns:
            HTML.
        """
        search = _there(self.search, "passages")
        text = (text or "").strip()
        if len(text) > LONGEST_TEXT:
            raise UsageError(f"Expected a text of at most {LONGEST_TEXT} characters, found {len(text)}.")
        modalities = tuple(name for name, given in (("text", text), ("image", image)) if given)
        if index not in search.indexes:
            raise UsageError("There is no such index.")
        _check_modalities(modalities, search.ways(index))
        pixels = None if image is None else await self._square(image, search.image_size or 0)
        job = SearchJob(search, index, modalities, whole("passages", number, MOST_PASSAGES))
        [hits] = await self.queue.answers([(job, Query("visitor", text=text or None, image=pixels))])
        self.answered["searches"] += 1
        return render("passages.html", hits=[_shown(hit) for hit in hits])

    def close(self) -> None:
        """Take nothing more, and return when all that was taken is answered."""
        self.queue.close()

    async def _square(self, path: str, size: int) -> np.ndarray:
        with open(path, "rb") as file:
            [square] = await self.decoder.squares([file], size)
        return square


def generation_of(way: str, beams: float, number: float, temperature: float) -> dict[str, Any]:
    """The settings that a visitor's choices change.

    Args:
        way: `SEARCH` or `SAMPLE`.
        beams: Width of the beam; where more captions are wanted, as many.
        number: Captions a style.
        temperature: Of sampling; each request draws again.

    Raises:
        UsageError: A number is none, or out of its range.
    """
    number = whole("captions", number, MOST_CAPTIONS)
    if way == SAMPLE:
        draw = {"do_sample": True, "temperature": temperature, "seed": secrets.randbits(32)}
        return {**draw, "num_return_sequences": number, "rerank": None}
    return {
        "do_sample": False, "num_beams": max(whole("beams", beams, MOST_BEAMS), number),
        "num_return_sequences": number,
    }  # fmt: skip


def whole(name: str, number: Any, most: int) -> int:
    """A whole number from 1 up.

    Args:
        name: What it counts.
        number: As the page sent it.
        most: The largest.

    Raises:
        UsageError: It is none, or out of its range.
    """
    if isinstance(number, bool) or not isinstance(number, int | float) or number not in range(1, most + 1):
        raise UsageError(f"{name}: expected a whole number from 1 to {most}, found {str(number)[:40]}")
    return int(number)


def _there(part: Any, what: str) -> Any:
    if part is None:
        raise UsageError(f"This demo does not offer {what}.")
    return part


def _check_modalities(modalities: tuple[str, ...], ways: Sequence[tuple[str, ...]]) -> None:
    """Refuse a question that the index cannot be searched by."""
    if modalities not in ways:
        able = ", or ".join(" and ".join(way) for way in ways)
        found = " and ".join(modalities) or "nothing"
        raise UsageError(f"This index can be searched by {able}, not by {found}.")


def _shown(hit: Hit) -> dict[str, Any]:
    """A passage as a page shows it."""
    passage = hit.passage
    return {"hit": hit, "passage": passage, "picture": picture(passage.image)}

"""A model card: README.md with the front matter that ModelScope's hub and Hugging Face's hub read.

text = model_card(CardFacts("me/pirate", scores=[CardScore("CIDEr", "1.25", "1.1 to 1.4")], licence="apache-2.0"))

Captions, file names and settings come from data. They are escaped, so that the hub's page shows them as text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ofakit.json_text import to_json

__all__ = ["CardExample", "CardFacts", "CardScore", "model_card", "public_settings"]

TAGS = {"image-captioning": "image-to-text", "multimodal-retrieval": "feature-extraction"}
"""What Hugging Face calls the tasks."""

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$:@])")
SECRET = re.compile(r"(^|_)(token|secret|password|passwd|api_key|access_key|credentials?)$", re.IGNORECASE)
CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
ABSOLUTE = re.compile(r"^(/|~|[A-Za-z]:[\\/]|\\\\)")
FENCE = re.compile("`{3,}")

LIMITS = {
    "image-captioning": (
        "The model can mention things that are not in an image and miss things that are. It learned its styles from "
        "the training data, with the opinions and mistakes of the people who wrote it. The scores describe data like "
        "its own and say little about other images. Have a person read its captions before anyone relies on them."
    ),
    "multimodal-retrieval": (
        "The model ranks passages; it does not check whether they are true. The scores describe questions and "
        "passages like its own and say little about others."
    ),
}
OTHER_LIMITS = "The scores describe data like the model's own and say little about other data."
NO_LICENCE = "No licence is stated: contact the owner of this repository before you use the model."
OF_DATA = "The training data and the initial weights have their own licences, which also apply."


@dataclass(frozen=True)
class CardScore:
    """A row of the table of scores.

    Attributes:
        name: What was measured.
        value: The score.
        interval: Its 95 % interval, or "" if it is not known.
    """

    name: str
    value: str
    interval: str = ""


@dataclass(frozen=True)
class CardExample:
    """A caption of a held-out image.

    Attributes:
        caption: What the model wrote.
        style: The requested style, or None.
        reference: What a person wrote, or "".
        image: A file of the repository, or None.
    """

    caption: str
    style: str | None = None
    reference: str = ""
    image: str | None = None


@dataclass(frozen=True)
class CardFacts:
    """The contents of a card.

    Attributes:
        name: owner/name.
        task: ModelScope's name for the task.
        description: Description of the experiment, or "".
        settings: The training configuration; `public_settings` leaves out private values.
        data: Names and values, such as the reader and counts.
        split: The split that was evaluated, or "".
        scores: Scores on that split.
        examples: Examples from that split.
        licence: An identifier such as "apache-2.0"; None if none was given.
        languages: Codes such as "en".
    """

    name: str
    task: str = "image-captioning"
    description: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: Sequence[tuple[str, str]] = ()
    split: str = ""
    scores: Sequence[CardScore] = ()
    examples: Sequence[CardExample] = ()
    licence: str | None = None
    languages: Sequence[str] = ()


def model_card(facts: CardFacts) -> str:
    """The text of README.md.

    Args:
        facts: Its contents.

    >>> print(model_card(CardFacts("me/mine", licence="mit"))[:23])
    ---
    license: "mit"
    tags
    """
    parts = [
        _front_matter(facts), f"# {_plain(facts.name)}", _plain(facts.description), _use(facts), _scores(facts),
        _examples(facts), _data(facts), _settings(facts), f"## Limits\n\n{LIMITS.get(facts.task, OTHER_LIMITS)}",
        _licence(facts),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def public_settings(value: Any) -> Any:
    """A configuration without secrets, and with the private parts of absolute paths and addresses removed.

    Args:
        value: A configuration, or a part of one.

    >>> public_settings({"hub_token": "abc", "root": "/home/me/coco", "tokenizer": {"num_bins": 4}})
    {'root': 'coco', 'tokenizer': {'num_bins': 4}}
    """
    if isinstance(value, Mapping):
        return {key: public_settings(item) for key, item in value.items() if not SECRET.search(str(key))}
    if isinstance(value, list | tuple):
        return [public_settings(item) for item in value]
    if isinstance(value, str) and ABSOLUTE.match(value):
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return CREDENTIALS.sub("", value) if isinstance(value, str) else value


def _front_matter(facts: CardFacts) -> str:
    """YAML with values in JSON, which is also YAML, so that nothing in them can end the front matter."""
    tag = TAGS.get(facts.task)
    entries = {
        "license": facts.licence or "unknown", "tags": ["ofakit", facts.task], "tasks": [facts.task],
        "frameworks": ["Pytorch"], "library_name": "ofakit", "pipeline_tag": tag, "language": list(facts.languages),
    }  # fmt: skip
    return "\n".join(["---", *(f"{key}: {to_json(value)}" for key, value in entries.items() if value), "---"])


def _use(facts: CardFacts) -> str:
    if facts.task != "image-captioning":
        return ""
    style = next((example.style for example in facts.examples if example.style), None)
    chosen = f' --style "{style}"' if style is not None and style.replace(" ", "").isalnum() else ""
    return (
        f"## Use\n\nWith ofakit installed:\n\n```sh\nofakit caption --model hub:{facts.name}{chosen} --image IMAGE\n```"
    )


def _scores(facts: CardFacts) -> str:
    if not facts.scores:
        return ""
    rows = [(score.name, score.value, score.interval or "–") for score in facts.scores]
    note = "The interval contains 95 % of the scores of resampled splits (bootstrap); a dash means that there is none."
    return f"## Scores on {_plain(facts.split)}\n\n{_table(('score', 'value', '95 % interval'), rows)}\n\n{note}"


def _examples(facts: CardFacts) -> str:
    if not facts.examples:
        return ""
    rows = [(one.style or "–", one.caption or "(empty)", one.reference or "–") for one in facts.examples]
    cells = [f"![]({one.image})" if one.image else "" for one in facts.examples]
    lines = _table(("style", "caption", "by a person"), rows).splitlines()
    if any(cells):
        lines = [
            line + more for line, more in zip(lines, [" image |", "---|", *(f" {c} |" for c in cells)], strict=True)
        ]
    return "## Examples\n\nCaptions of images that were not used in training.\n\n" + "\n".join(lines)


def _data(facts: CardFacts) -> str:
    return f"## Data\n\n{_table(('what', 'value'), facts.data)}" if facts.data else ""


def _settings(facts: CardFacts) -> str:
    if not facts.settings:
        return ""
    text = FENCE.sub("``", to_json(facts.settings, indent=1))
    return f"## Training configuration\n\n```json\n{text}\n```"


def _licence(facts: CardFacts) -> str:
    return f"## Licence\n\n{_plain(facts.licence) if facts.licence else NO_LICENCE} {OF_DATA}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(map(_plain, row))} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *lines])


def _plain(text: str) -> str:
    """A text on one line, escaped so that Markdown shows it unchanged."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return SPECIAL.sub(r"\\\1", html.escape(line, quote=False))

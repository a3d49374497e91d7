"""When a name is looked up on a hub: only if the user says so, never because a folder's name was mistyped.

work_dir/bset                             a folder that is not there: refused
hub:owner/name                            looked up on a hub
owner/name with --hub, or OFAKIT_HUB=1    likewise
sentence-transformers/all-MiniLM-L6-v2    likewise: an owner that publishes models, and no folder here has that name
hf://owner/name  ms://owner/name          on Hugging Face's or ModelScope's alone; the latter has only whole models
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ofakit.errors import UsageError, did_you_mean

__all__ = ["ALLOWED", "HubId", "huggingface_id", "sought_on_hub"]

ALLOWED = "OFAKIT_HUB"
"""The environment variable by which any name may be sought; what `--hub` sets, for the processes of a run too."""

MARK = "hub:"

ONE_HUB = {"hf://": "hf", "ms://": "ms"}
"""The hub that an id with this prefix is looked up on, and on no other."""

PUBLISHERS = (
    "sentence-transformers", "cross-encoder", "openai", "google", "google-bert", "google-t5", "facebook", "FacebookAI",
    "microsoft", "BAAI", "intfloat", "damo", "iic", "OFA-Sys", "timm", "laion", "Salesforce", "distilbert", "nomic-ai",
    "jinaai", "mixedbread-ai", "Alibaba-NLP", "Snowflake", "Qwen", "thenlper", "castorini", "naver", "answerdotai",
)  # fmt: skip
ALONE = (
    "bert-base-uncased", "bert-base-cased", "bert-large-uncased", "bert-base-chinese", "bert-base-multilingual-cased",
    "distilbert-base-uncased", "roberta-base", "roberta-large", "xlm-roberta-base", "albert-base-v2", "t5-small",
    "t5-base",
)  # fmt: skip
"""Ids that have no owner."""


class HubId(NamedTuple):
    """What is looked up on a hub.

    Args:
        hub: "hf" for Hugging Face's alone, "ms" for ModelScope's alone; None for either.
        name: owner/name, or a name without an owner.
    """

    hub: str | None
    name: str


def sought_on_hub(path_or_id: str) -> HubId | None:
    """The hub and the name by which something is looked up there; None for what is here.

    Args:
        path_or_id: A path, or an id with or without `hub:`.

    Raises:
        UsageError: Nothing of that name is here, and nothing says that it is on a hub.

    >>> sought_on_hub("hub:me/mine"), sought_on_hub("hf://me/mine"), sought_on_hub("/")
    (HubId(hub=None, name='me/mine'), HubId(hub='hf', name='me/mine'), None)
    """
    if os.path.exists(os.path.expanduser(path_or_id)):
        return None
    prefix = next((prefix for prefix in (*ONE_HUB, MARK) if path_or_id.startswith(prefix)), "")
    hub, name = ONE_HUB.get(prefix), path_or_id.removeprefix(prefix)
    owner, slash, own = name.partition("/")
    shown = f"no model directory {path_or_id[:200]}"
    if (
        not name
        or (slash and not own)
        or (hub and not own)
        or "/" in own
        or name.startswith((".", "~", "/"))
        or not name.isprintable()
    ):
        raise UsageError(f"{shown}, and it is not a hub id (owner/name) either", "path")
    known = name in ALONE if not slash else owner in PUBLISHERS and not os.path.lexists(owner)
    if prefix or known or os.environ.get(ALLOWED) == "1":
        return HubId(hub, name)
    raise UsageError(
        f"{shown}{_near(path_or_id)}. To take it from a hub, write {MARK}{name[:200]}, or pass --hub", "path"
    )


def huggingface_id(path_or_id: str) -> str | None:
    """The name by which a network, a tokenizer or weights are looked up on Hugging Face's hub; None for what is here.

    Args:
        path_or_id: As for `sought_on_hub`.

    Raises:
        UsageError: As for `sought_on_hub`, or it is to come from ModelScope's hub.

    >>> huggingface_id("hf://me/mine"), huggingface_id("sentence-transformers/all-MiniLM-L6-v2"), huggingface_id("/")
    ('me/mine', 'sentence-transformers/all-MiniLM-L6-v2', None)
    """
    found = sought_on_hub(path_or_id)
    if found is not None and found.hub == "ms":
        raise UsageError(
            f"{path_or_id[:200]} would be taken from ModelScope's hub, but encoders, tokenizers and backbones are "
            "taken from Hugging Face's: write hf://owner/name, or name a directory",
            "path",
        )
    return None if found is None else found.name


def _near(path: str) -> str:
    """The folders beside a missing one, as a clause."""
    folder = Path(path).parent
    if not os.path.isdir(folder):
        return f": there is no folder {str(folder)[:200]} here"
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        return ""
    return f": {did_you_mean(Path(path).name, names[:50])}"

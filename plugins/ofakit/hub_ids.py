"""When a name is looked up on a hub: only if the user says so, never because a folder's name was mistyped.

work_dir/bset                             a folder that is not there: refused
hub:owner/name                            sought on the hub
hf://owner/name  ms://owner/name          a model, on Hugging Face's or ModelScope's alone
owner/name with --hub, or OFAKIT_HUB=1    likewise
sentence-transformers/all-MiniLM-L6-v2    likewise: an owner that publishes models, and no folder here has that name
"""

from __future__ import annotations

import os
from pathlib import Path

from ofakit.errors import UsageError, did_you_mean

__all__ = ["ALLOWED", "MARK", "sought_on_hub"]

ALLOWED = "OFAKIT_HUB"
"""The environment variable by which any name may be sought; what `--hub` sets, for the processes of a run too."""

MARK = "hub:"

ONE_HUB = ("hf://", "ms://")
"""What stands before an id that is sought on Hugging Face's or ModelScope's hub alone."""

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


def sought_on_hub(path_or_id: str) -> str | None:
    """The id by which a model or tokenizer is sought on a hub, `hf://` or `ms://` kept; None for what is here.

    Args:
        path_or_id: A path, or an id with or without `hub:`.

    Raises:
        UsageError: Nothing of that name is here, and nothing says that it is on a hub.

    >>> sought_on_hub("sentence-transformers/all-MiniLM-L6-v2"), sought_on_hub("hub:me/mine"), sought_on_hub("/")
    ('sentence-transformers/all-MiniLM-L6-v2', 'me/mine', None)
    """
    if os.path.exists(os.path.expanduser(path_or_id)):
        return None
    hub = next((prefix for prefix in ONE_HUB if path_or_id.startswith(prefix)), "")
    marked, name = bool(hub) or path_or_id.startswith(MARK), path_or_id.removeprefix(hub or MARK)
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
    if marked or known or os.environ.get(ALLOWED) == "1":
        return hub + name
    raise UsageError(
        f"{shown}{_near(path_or_id)}. To take it from a hub, write {MARK}{name[:200]}, or pass --hub", "path"
    )


def _near(path: str) -> str:
    """The folders beside a missing one, as a clause."""
    folder = Path(path).parent
    if not os.path.isdir(folder):
        return f": there is no folder {str(folder)[:200]} here"
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        return ""
    return f": {did_you_mean(Path(path).name, names[:50])}"

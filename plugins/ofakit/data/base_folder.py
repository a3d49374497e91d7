"""The knowledge base of an experiment: in memory, or stored once in a folder if it is larger than memory.

    {"data": {"reader": {"type": "viquae"}, "base_folder": "work_dir/viquae_base"}}

    work_dir/viquae_base/viquae-3f9a0c2b71de/     a `StoredBase` for each reader and root
    work_dir/viquae_base/viquae-3f9a0c2b71de.lock

The first process that needs the base stores it, and others wait. It is stored again once a file that the passages come
from has another length or time. Experiments whose readers are the same share it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ofakit.config.schema import ExperimentConfig
from ofakit.data.knowledge_base import KnowledgeBase
from ofakit.data.passage_base import PassageBase
from ofakit.data.readers._generated import digest_of
from ofakit.data.reading import data_root
from ofakit.data.stored_base import StoredBase
from ofakit.errors import UsageError
from ofakit.files import settle
from ofakit.locks import locked

__all__ = ["base_of", "open_base"]

logger = logging.getLogger(__name__)


def base_of(config: ExperimentConfig, reader: Any, split: str | None = None) -> PassageBase:
    """The passages that the questions of a split are asked of, where `data.base_folder` says.

    Args:
        config: The experiment.
        reader: Its reader.
        split: The split, for a reader whose splits have a base each.

    Raises:
        UsageError: A file is wrong, two passages share an id, or the reader's bases cannot be stored.
        SaveError: The disk is full or permission is missing.
    """
    settings = {**config.data.reader.model_dump(), "root": str(Path(data_root(config) or ".").expanduser().resolve())}
    return open_base(reader, split, config.data.base_folder, settings)


def open_base(reader: Any, split: str | None, folder: str | None, settings: Mapping[str, Any]) -> PassageBase:
    """The passages of a reader.

    Args:
        reader: Has `passages(split)`, and `passage_files(split)` where they are to be stored.
        split: The split, for a reader whose splits have a base each.
        folder: Where bases are stored; None takes the base into memory.
        settings: Those of the reader, which name its base: a dict fit for JSON with `type`.

    Raises:
        UsageError: As `base_of`.
        SaveError: The disk is full or permission is missing.
    """
    own = split if getattr(reader, "passages_by_split", False) else None
    if folder is None:
        return KnowledgeBase(reader.passages(own))
    if not hasattr(reader, "passage_files"):
        raise UsageError(
            f"data.base_folder: the reader {settings['type']!r} does not declare which files its passages come from, "
            "so a change would go unnoticed; leave base_folder out to keep the knowledge base in memory"
        )
    name = f"{settings['type']}-{digest_of({'settings': sorted(settings.items()), 'split': own})}"
    final, source = Path(folder).expanduser() / name, _state(reader, own)
    with locked(final.with_name(f"{name}.lock")):
        settle(final)
        if final.exists():
            base = StoredBase(final)
            if base.source == source:
                return base
            logger.warning(
                "%s: %s since the knowledge base was stored; storing it again", final, _change(base.source, source)
            )
        passages = tqdm(reader.passages(own), "storing the knowledge base", unit=" passages", leave=False, disable=None)
        return StoredBase.build(final, passages, source)


def _state(reader: Any, split: str | None) -> dict[str, list[int]]:
    """Length and time of each file that the passages come from."""
    files = [Path(file).resolve() for file in reader.passage_files(split)]
    return {str(file): [file.stat().st_size, file.stat().st_mtime_ns] for file in files}


def _change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which file is another one than before."""
    changed = [file for file in now if now[file] != before.get(file)] or [file for file in before if file not in now]
    others = f" and {len(changed) - 1} other files have" if len(changed) > 1 else " has"
    return f"{changed[0]}{others} changed"

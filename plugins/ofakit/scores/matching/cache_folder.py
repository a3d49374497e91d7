"""Where ofakit keeps what it can make again: `$OFAKIT_CACHE`, or `ofakit` in the user's cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder() -> Path:
    """The folder, which need not exist: `$OFAKIT_CACHE`, or the one the system has for such files.

    >>> cache_folder().name
    'ofakit'
    """
    if own := os.environ.get("OFAKIT_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ofakit"

"""Loads a transformers network from a directory: completely, or with an error that says what is wrong.

transformers itself fills what a directory lacks with random numbers and continues with a warning.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from ofakit.errors import UsageError
from ofakit.models.weights import some_of

__all__ = ["load_network", "read_pretrained"]

UNUSED = "pooler."
"""Begins the names of weights that no encoder here uses; many directories lack them."""


def load_network(kind: Any, path: str | Path, allow_partial: bool = False) -> Any:
    """A network with all its weights.

    Args:
        kind: The class of transformers, such as `AutoModel`.
        path: The directory.
        allow_partial: Let weights that the directory lacks be random numbers.

    Raises:
        UsageError: The directory holds no such network, it is damaged or could run code, or weights are missing.
    """
    network, unfitting = read_pretrained(kind, path, f"no network in {path}")
    unfitting = [name for name in unfitting if not name.startswith(UNUSED)]
    if unfitting and not allow_partial:
        raise UsageError(
            f"{path} does not fit a {type(network).__name__}: missing or of another shape: {some_of(unfitting)}. To "
            "start these weights at random and train them, set allow_partial",
            "path",
        )
    return network


def read_pretrained(kind: Any, path: str | Path, problem: str) -> tuple[Any, list[str]]:
    """A network, and the names of weights that its directory lacks or has in another shape.

    Args:
        kind: The class of transformers.
        path: The directory.
        problem: What the message begins with where it cannot be read.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        network, found = kind.from_pretrained(str(path), output_loading_info=True, ignore_mismatched_sizes=True)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise UsageError(f"{problem}: {_reason(error)}", "path") from None
    return network, sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})


def _reason(error: Exception) -> str:
    """What an error says, in one line."""
    found = " ".join(str(error).partition("\n\nCheck the documentation")[0].split())
    return found[:500] or type(error).__name__

"""Keys of ModelScope's CheckpointHook and BestCkptSaverHook that have no meaning here.

A configuration may set them to a value that asks for nothing, as stock ones do; any other value is refused with advice
what to do instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ofakit.errors import UsageError

__all__ = ["ANY", "OF_EVERY_CHECKPOINT_HOOK", "without_inert_keys"]

ANY = object()
"""Stands for every value: the key only qualifies another key, or asks for what happens anyway."""

IN_THE_RUN_DIRECTORY = "everything that a run writes goes to its run directory: set work_dir"
OF_EVERY_CHECKPOINT_HOOK: dict[str, tuple[Any, str]] = {
    "save_dir": ((None,), IN_THE_RUN_DIRECTORY),
    "output_dir": ((None,), IN_THE_RUN_DIRECTORY),
    "output_sub_dir": ((None, "output", "output_best"), "the model directories are output/ and best/: copy those"),
    "save_trainer_state": ((None, True), "a snapshot is always whole; keep fewer with max_checkpoint_num"),
    "push_to_hub": ((None, False), "add a PushToHubHook, or use `ofakit upload` when the run is done"),
    "hub_repo_id": (ANY, ""),
    "hub_token": (ANY, ""),
    "private_hub": (ANY, ""),
    "hub_revision": (ANY, ""),
    "upload_strategy": (ANY, ""),
}
"""By key: the values that ask for nothing, and what to do instead of setting another."""


def without_inert_keys(asked: str, hook: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that have a meaning here, without those that ask for nothing.

    Args:
        asked: The hook's type as the configuration has it, for messages.
        hook: The hook's class; its `INERT_KEYS`, if any, have the form of `OF_EVERY_CHECKPOINT_HOOK`.
        arguments: All arguments of the hook.

    Raises:
        UsageError: A key that has no meaning here asks for something.
    """
    inert = getattr(hook, "INERT_KEYS", {})
    for key, value in arguments.items():
        nothing, instead = inert.get(key, (ANY, ""))
        if nothing is not ANY and value not in nothing:
            raise UsageError(f"train.hooks: {key} = {value!r} of {asked} is not supported; {instead}")
    return {key: value for key, value in arguments.items() if key not in inert}

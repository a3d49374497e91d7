"""What is said where a model is of another task than the one that is wanted.

raise other_task(bundle, "a model that writes captions")
"""

from __future__ import annotations

from ofakit.errors import UsageError
from ofakit.hub.bundle import ModelBundle
from ofakit.hub.multitask_bundle import MultitaskBundle

__all__ = ["other_task"]


def other_task(bundle: ModelBundle, wanted: str, cure: str = "", key: str | None = None) -> UsageError:
    """The error for a model of another task, to be raised.

    Args:
        bundle: The model.
        wanted: What was expected.
        cure: What to do with a model of one task; for one of several it is to take that of the right task.
        key: The key of the configuration that names the model, as `UsageError` takes it.
    """
    found = f"one for {bundle.task}"
    if isinstance(bundle, MultitaskBundle):
        found = f"one for the tasks {', '.join(bundle.bundles)}"
        cure = "take the model of one task, which is in the folder best_of of its run"
    return UsageError(f"expected {wanted}, found {found}" + (f"; {cure}" if cure else ""), key)

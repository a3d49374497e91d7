"""One model of several tasks, with what each of them keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ofakit.hub.bundle import ModelBundle, bundle_kind

__all__ = ["MULTITASK", "MultitaskBundle"]

MULTITASK = "multitask"
"""The task of such directories."""


@dataclass
class MultitaskBundle(ModelBundle, task=MULTITASK):
    """A model that several tasks share.

    Attributes:
        bundles: Those of the tasks by name, around the same model and tokenizer.
    """

    bundles: dict[str, ModelBundle] = field(default_factory=dict)

    def fixed(self) -> dict[str, Any]:
        """What a resumed run must have as the run before it had, of every task."""
        of_tasks = {f"{name}: {key}": value for name, own in self.bundles.items() for key, value in own.fixed().items()}
        return {**super().fixed(), **of_tasks}

    def configuration(self) -> dict[str, Any]:
        """ModelScope's configuration.json, with those of the tasks."""
        tasks = {}
        for name, own in self.bundles.items():
            whole = own.configuration()
            learned = None if own.objectives is None else list(own.objectives)
            tasks[name] = {**whole, "ofakit": {**whole.get("ofakit", {}), "objectives": learned}}
        return {
            "framework": "pytorch",
            "task": self.task,
            "model": {"type": f"ofakit-{self.model_type}"},
            "ofakit": {"tasks": tasks},
        }

    @classmethod
    def from_configuration(cls, model: Any, tokenizer: Any, configuration: Mapping[str, Any]) -> MultitaskBundle:
        """The bundle of a directory.

        Args:
            model: Read from it.
            tokenizer: Likewise.
            configuration: The content of its configuration.json.

        Raises:
            pydantic.ValidationError: A section does not fit.
        """
        found = cls(model, tokenizer)
        ours = configuration.get("ofakit", {})
        for name, whole in ours.get("tasks", {}).items():
            own = bundle_kind(str(whole["task"])).from_configuration(model, tokenizer, whole)
            taught = whole["ofakit"].get("objectives")
            own.objectives, own.model_task = None if taught is None else tuple(taught), name
            own.model_type = ours.get("model_type", own.model_type)
            found.bundles[name] = own
        return found

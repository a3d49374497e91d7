"""One model for several tasks, with the settings of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofakit.data.json_files import read_json
from ofakit.hub.bundle import REGIONS, ModelBundle, bundle_kind
from ofakit.hub.retrieval_bundle import RetrievalBundle
from ofakit.models.live_regions import LiveRegions
from ofakit.models.shared_model import SharedModel

__all__ = ["MULTITASK", "MultitaskBundle"]

MULTITASK = "multitask"
"""The task of such directories."""


@dataclass
class MultitaskBundle(ModelBundle, task=MULTITASK):
    """A model that several tasks share.

    Attributes:
        bundles: The bundle of each task by name, all with the same model and tokenizer.
    """

    bundles: dict[str, ModelBundle] = field(default_factory=dict)

    def write_regions(self, folder: Path) -> None:
        """Save the network that makes regions for the tasks in `regions`, or in `regions/<task>` if the tasks differ.

        Args:
            folder: The model directory.
        """
        live = {name: own.live_regions for name, own in self.bundles.items() if own.live_regions is not None}
        if len({own.about.model_dump_json() for own in live.values()}) == 1:
            next(iter(live.values())).write(folder / REGIONS)
            return
        for name, own in live.items():
            own.write(folder / REGIONS / name)

    def regions_are_kept(self, folder: Path) -> None:
        """Let the next directory share the weights with this one.

        Args:
            folder: The model directory.
        """
        for name, own in self.bundles.items():
            if own.live_regions is not None and own.live_regions.folder is None:
                alone = folder / REGIONS / name
                own.live_regions.folder = alone if alone.is_dir() else folder / REGIONS

    def read_regions(self, folder: Path) -> None:
        """Read the network that makes regions.

        Args:
            folder: The model directory.

        Raises:
            UsageError: It is damaged.
        """
        for name, own in self.bundles.items():
            found = LiveRegions.read(folder / REGIONS / name) or LiveRegions.read(folder / REGIONS)
            own.live_regions = found or own.live_regions

    def fixed(self) -> dict[str, Any]:
        """What must be the same in a resumed run as in the run before it, for every task."""
        of_tasks = {f"{name}: {key}": value for name, own in self.bundles.items() for key, value in own.fixed().items()}
        return {**super().fixed(), **of_tasks}

    def configuration(self) -> dict[str, Any]:
        """ModelScope's configuration.json, with the configuration of each task."""
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
            model: The model read from it.
            tokenizer: The tokenizer read from it.
            configuration: The content of its configuration.json.

        Raises:
            pydantic.ValidationError: A section is not valid.
        """
        found = cls(model, tokenizer)
        ours = configuration.get("ofakit", {})
        shared = model if isinstance(model, SharedModel) else None
        model_type = ours.get("model_type") if shared is None else shared.network_type
        for name, whole in ours.get("tasks", {}).items():
            reading = tokenizer if shared is None else shared.readings.get(name, tokenizer)
            own = bundle_kind(str(whole["task"])).from_configuration(model.for_task(name), reading, whole)
            taught = whole["ofakit"].get("objectives")
            own.objectives, own.model_task = None if taught is None else tuple(taught), name
            if reading is tokenizer:
                own.model_type = model_type or own.model_type
            found.bundles[name] = own
        return found

    def take_weights(self, path: Path, allow_partial: bool = False) -> None:
        """Load the weights of a snapshot, or of a directory of all tasks or one task, and what was fitted for a task.

        Args:
            path: The snapshot or directory.
            allow_partial: Accept missing or unexpected weights.

        Raises:
            UsageError: The vocabulary is different, or the weights do not fit.
        """
        if not isinstance(self.model, SharedModel):
            super().take_weights(path, allow_partial)
            return
        file = path / "configuration.json"
        ours = read_json(file, "configuration").get("ofakit", {}) if file.exists() else {}
        if ours.get("model_task") in self.bundles:
            self.bundles[ours["model_task"]].take_weights(path, allow_partial)
            return
        super().take_weights(path, allow_partial)
        for name, whole in ours.get("tasks", {}).items():
            own = self.bundles.get(name)
            if isinstance(own, RetrievalBundle):
                own.fitted = dict(whole.get("ofakit", {}).get("fitted", {}))

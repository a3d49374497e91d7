"""A retriever with what its sides read, how a base is searched, and what was fitted on the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ofakit.config.retrieval import RetrievalSection
from ofakit.data.json_files import read_json
from ofakit.errors import UsageError
from ofakit.hub.bundle import ModelBundle
from ofakit.models.base import Model
from ofakit.models.retriever import SIDES, Retriever

__all__ = ["EMBEDDING", "RetrievalBundle"]

EMBEDDING = "multi-modal-embedding"
"""ModelScope's name for the task of a retriever."""


@dataclass
class RetrievalBundle(ModelBundle, task=EMBEDDING):
    """A retriever with everything that belongs to it.

    Attributes:
        retrieval: Settings of the search in a base.
        fitted: What was chosen on the validation split, by searcher; the weights of the fusion are under `fused`.
    """

    model: Retriever
    retrieval: RetrievalSection = field(default_factory=RetrievalSection)
    fitted: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.model, Model) and not isinstance(self.model, Retriever):
            raise UsageError(f"a model of type {self.model_type!r} is not a retriever; set model.type to retriever")

    def take_weights(self, path: Path, allow_partial: bool = False) -> None:
        """Load the weights of a snapshot or a model directory; from the latter, also what was fitted.

        Args:
            path: The snapshot or directory.
            allow_partial: Accept missing or unexpected weights.

        Raises:
            UsageError: The vocabulary is different, or the weights do not fit.
        """
        super().take_weights(path, allow_partial)
        file = path / "configuration.json"
        if file.exists():
            self.fitted = dict(read_json(file, "configuration").get("ofakit", {}).get("fitted", {}))

    def configuration(self) -> dict[str, Any]:
        """ModelScope's configuration.json: its own keys for its own code, ours in the section `ofakit`."""
        return {
            "framework": "pytorch",
            "task": self.task,
            "model": {"type": f"ofakit-{self.model_type}"},
            "pipeline": {"type": "ofakit-embedding"},
            "ofakit": {"retrieval": self.retrieval.model_dump(mode="json"), "fitted": self.fitted},
        }

    def describe(self) -> dict[str, Any]:
        """A description: `parameters`, `sides` with type, modalities and widths, `searchers`, `fitted` and `config`."""
        sides = {}
        for side in SIDES:
            encoder = self.model.encoder(side)
            reads = sorted(encoder.reads)
            widths = {name: encoder.dimension([name]) for name in reads}
            sides[side] = {"type": self.model.settings.of_side(side).type, "reads": reads, "dimension": widths}
        return {
            "format": "retriever",
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "sides": sides,
            "searchers": list(self.retrieval.searchers),
            "fitted": self.fitted,
            "config": self.model.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_configuration(cls, model: Any, tokenizer: Any, configuration: Mapping[str, Any]) -> RetrievalBundle:
        """The bundle of a directory: ours, or one of another library without our keys.

        Args:
            model: The model read from it.
            tokenizer: The tokenizer read from it.
            configuration: The content of its configuration.json; empty if it has none.

        Raises:
            pydantic.ValidationError: A section is not valid.
        """
        ours = configuration.get("ofakit", {})
        section = RetrievalSection(**ours.get("retrieval", {}))
        return cls(model, tokenizer, section, dict(ours.get("fitted", {})), model_type="retriever")

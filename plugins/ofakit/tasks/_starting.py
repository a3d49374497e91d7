"""Where a run starts: with a whole model, or with a new one, perhaps from the weights of a file or a language model."""

from __future__ import annotations

from pathlib import Path

from ofakit.config.schema import ModelSection
from ofakit.hub import resolve_model
from ofakit.hub.directory import model_type_of
from ofakit.models.types import MODELS

__all__ = ["start_of"]


def start_of(section: ModelSection, usual: str) -> tuple[Path | None, ModelSection]:
    """The directory of the whole model that a run starts with, if there is one.

    Args:
        section: The section `model`.
        usual: The type of a new model whose section names none.

    Returns:
        The directory, or None where the model is to be built; and the section to build it from, with its type, and with
        the local directory of a language model as its path.

    Raises:
        UsageError: The path is neither there nor a hub id that can be had.
    """
    if section.path is None or Path(section.path).is_file():
        return None, section.model_copy(update={"type": section.type or usual})
    folder = resolve_model(section.path)
    model_type = model_type_of(folder)  # a directory says so itself; the section may name the task's usual type
    if not MODELS.build({"type": model_type}).is_start(folder):
        return folder, section
    return None, section.model_copy(update={"type": model_type, "path": str(folder)})

"""Where a run starts: with a whole model, or with a new one, perhaps from the weights of a file or a language model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ofakit.config.schema import ModelSection
from ofakit.hub import resolve_model
from ofakit.hub.directory import model_type_of
from ofakit.models.base import Model
from ofakit.models.types import MODELS

if TYPE_CHECKING:
    from ofakit.tasks.base import Task

__all__ = ["new_model", "start_of"]


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


def new_model(task: Task[Any], section: ModelSection) -> tuple[Model, Any]:
    """A model that is built rather than read whole, and its tokenizer.

    Args:
        task: Whose texts a vocabulary is trained on, and whose images say how wide regions are.
        section: The section `model`, as `start_of` returns it.

    Raises:
        UsageError: A key of `model.config` is wrong, or the weights or the tokenizer do not fit.
    """
    kind = MODELS.build({"type": section.type})
    section = task.with_region_width(section, kind)
    tokenizer = kind.tokenizer(section, task.texts())
    with task.config.naming_the_file("model", "config"):
        return kind.build(section, tokenizer), tokenizer

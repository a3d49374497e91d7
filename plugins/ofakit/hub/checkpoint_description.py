"""What any checkpoint is: a model directory, a snapshot of a run, a file of weights, or adapters alone.

describe_checkpoint("work_dir/run/checkpoints/step_100")["parameters"]

The type of a model is asked what it finds (`models.model_type.ModelType.describe`), and which weights are its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ofakit.config.load import checked
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.hub.adapter_directory import is_adapter
from ofakit.hub.directory import CONFIGURATION, model_type_of
from ofakit.hub.retriever_directory import is_retriever, load_retriever
from ofakit.input_files import read_json_file
from ofakit.models.adapters.saving import WEIGHTS, read_adapter
from ofakit.models.description import counted
from ofakit.models.ofa.fairseq import inert_classes
from ofakit.models.types import MODELS, recognised
from ofakit.models.weights import read_content, tensors_of

__all__ = ["describe_adapter", "describe_checkpoint", "type_of_checkpoint"]


def describe_checkpoint(path: str | Path) -> dict[str, Any]:
    """What a checkpoint is, as JSON values.

    Args:
        path: A model directory, one of adapters alone, a snapshot, or a file of weights.

    Returns:
        `format`, `type` (that of the model, as in `model.type`), `parameters`, and what else the type says; of a
        retriever's directory what `RetrievalBundle.describe` says, of adapters what `describe_adapter` says.

    Raises:
        UsageError: Nothing is there, a file is damaged, or the weights are of no type that is known here.
    """
    if is_adapter(path):
        return describe_adapter(path)
    if is_retriever(path):
        return {"type": "retriever", **load_retriever(path).describe()}
    kind, section = type_of_checkpoint(path), _section_of_run(Path(path))
    return {"type": kind, **MODELS.build({"type": kind}).describe(path, section)}


def type_of_checkpoint(path: str | Path) -> str:
    """The type of the model that a checkpoint holds.

    Args:
        path: A model directory, which says it; or a snapshot or a file of weights, whose names tell.

    Raises:
        UsageError: As `describe_checkpoint`.
    """
    folder = Path(path)
    if folder.is_dir() and any((folder / name).exists() for name in ("config.json", CONFIGURATION)):
        return model_type_of(folder)
    weights = tensors_of(read_content(folder, inert_classes), folder)
    try:
        return recognised(weights)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def describe_adapter(path: str | Path) -> dict[str, Any]:
    """What a directory of adapters alone holds.

    Args:
        path: The directory.

    Returns:
        `format`, `type`, `parameters`, `tensors` and `dtypes` of the adapters and of what learnt beside them;
        `adapter`, their configuration, and `base`, the model that they belong to.

    Raises:
        UsageError: A file is missing or damaged.
    """
    about, weights = read_adapter(path), read_content(Path(path) / WEIGHTS)
    told = {key: about[key] for key in ("adapter", "base")}
    return {"format": "adapter", "type": model_type_of(Path(path)), **counted(weights), **told}


def _section_of_run(path: Path) -> ModelSection | None:
    """The section `model` of the run that a snapshot is from; None where its configuration is not found beside it."""
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    conf = folder.parent.parent / "conf.json"
    if folder.parent.name != "checkpoints" or not conf.is_file():
        return None
    values = read_json_file(conf, "a run's configuration")
    section = values.get("model") if isinstance(values, dict) else None
    return checked(ModelSection, section) if isinstance(section, dict) else None

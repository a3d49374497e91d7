"""The adapters of a model in a directory of their own; with the base they make the model again.

adapter.safetensors adapter.json   as `ofakit.models.adapters.saving` has them
configuration.json                 as in a model directory: styles, prompt, generation, how a base is searched, …
regions/                           the network that makes regions of images, if the base lacks the same one

`load_bundle`, and with it every tool, reads such a directory as a model: it first reads the base that the directory
names. A retriever's base may be the Hugging Face directory that its only encoder started from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofakit.config.load import checked
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.files import replace_folder
from ofakit.hub.bundle import REGIONS, ModelBundle
from ofakit.input_files import read_json_file
from ofakit.json_text import to_json
from ofakit.models.adapters import load_adapter, save_adapter
from ofakit.models.adapters.saving import ADAPTER, read_adapter
from ofakit.models.base import Model
from ofakit.models.retriever import Retriever, RetrieverSettings
from ofakit.models.types import MODELS

__all__ = ["SETTINGS", "base_of", "is_adapter", "load_adapted", "write_adapter"]

SETTINGS = "retriever.json"
"""The settings of the retriever that has these adapters."""


def is_adapter(folder: str | Path) -> bool:
    """Whether a directory contains only adapters.

    Args:
        folder: A directory.
    """
    return (Path(folder) / ADAPTER).is_file() and not (Path(folder) / "config.json").exists()


def write_adapter(bundle: ModelBundle, configuration: Mapping[str, Any], folder: str | Path, base: str) -> Path:
    """Write the adapters of a model in one step, after checking that they fit its base.

    Args:
        bundle: The model with its adapters.
        configuration: The content of its `configuration.json`.
        folder: The directory to write; one that ofakit wrote is replaced.
        base: The directory or hub id of the model without them.

    Returns:
        The directory.

    Raises:
        UsageError: The model has no adapters, or the base is a different model.
        SaveError: Writing failed; the old directory is intact.
    """
    folder = Path(folder)
    name = str(Path(base).absolute()) if Path(base).exists() else base
    with replace_folder(folder) as new:
        save_adapter(bundle.model, new, name)
        if isinstance(bundle.model, Retriever):
            settings = bundle.model.settings.model_dump(mode="json")
            (new / SETTINGS).write_text(to_json(settings, indent=1) + "\n", encoding="utf-8")
        (new / "configuration.json").write_text(to_json(configuration, indent=1), encoding="utf-8")
        load_adapted(new, bundle.model_type)
        if bundle.live_regions is not None and not bundle.live_regions.is_kept_in(base_of(new) / REGIONS):
            bundle.write_regions(new)
    return folder


def load_adapted(folder: str | Path, model_type: str, base: str | None = None) -> tuple[Model, Any]:
    """The model of a directory of adapters.

    Args:
        folder: As `write_adapter` wrote it.
        model_type: The file of `ofakit.models.types` that reads the base.
        base: The base, if it is no longer where the directory says.

    Returns:
        The model in evaluation mode, and its tokenizer.

    Raises:
        UsageError: The base does not exist, or is a different model.
    """
    model, tokenizer = _base(Path(folder), base_of(folder, base), model_type)
    load_adapter(model, folder)
    return model.eval(), tokenizer


def base_of(folder: str | Path, base: str | None = None) -> Path:
    """The directory of the model that the adapters belong to.

    Args:
        folder: As `write_adapter` wrote it.
        base: The base, if it is no longer where the directory says.

    Raises:
        UsageError: It does not exist.
    """
    from ofakit.hub.directory import resolve_model

    name = base or read_adapter(folder)["base"].get("name")
    if name is None:
        raise UsageError(f"the adapter in {folder} does not name its base; pass it with --base")
    try:
        path = resolve_model(name)
    except UsageError as error:
        raise UsageError(
            f"the base of the adapter in {folder} was not found; say where it is with --base: {error}"
        ) from None
    if not path.is_dir():
        raise UsageError(f"the base of the adapter in {folder} must be a model directory, found {name}")
    return path


def _base(folder: Path, path: Path, model_type: str) -> tuple[Model, Any]:
    """The base; for a retriever, the directory may contain only its encoder."""
    kind = MODELS.build({"type": model_type})
    if not (folder / SETTINGS).exists() or _is_whole(path):
        return kind.load(path)
    settings = checked(RetrieverSettings, read_json_file(folder / SETTINGS, "the description of a retriever"))
    if settings.encoder.type != "hugging_face" or settings.passage_encoder is not None:
        raise UsageError(
            f"{path} is not a retriever: a base with two encoders, or of another type, must be a complete retriever"
        )
    encoder = {**settings.encoder.model_dump(), "path": str(path), "config": {}}
    section = ModelSection(type=model_type, config={**settings.model_dump(mode="json"), "encoder": encoder})
    tokenizer = kind.tokenizer(section, ())
    return kind.build(section, tokenizer), tokenizer


def _is_whole(path: Path) -> bool:
    """Whether a directory contains a retriever rather than the network of one of its encoders."""
    from ofakit.models.types.retriever import is_retriever

    return is_retriever(path)

"""Model directories of every task and model: written completely or not at all, and read back.

config.json           the network
pytorch_model.bin     weights; for OFA these two files are as in the stock code
vocab.json merges.txt added_tokens.json   (or vocab.txt) the tokenizer
configuration.json    ModelScope's, with a section `ofakit` for the task's settings: styles, prompt, generation, …
regions/              the network that makes regions of images, for a model that reads them (`models.live_regions`)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ofakit.errors import UsageError
from ofakit.files import replace_folder
from ofakit.hub.adapter_directory import base_of, is_adapter, load_adapted
from ofakit.hub.answer_bundle import AnswerBundle  # noqa: F401 (lets `bundle_kind` know it)
from ofakit.hub.bundle import CAPTIONING, ModelBundle, bundle_kind
from ofakit.hub.caption_bundle import CaptionBundle
from ofakit.hub.hubs import downloaded
from ofakit.hub.multitask_bundle import MultitaskBundle  # noqa: F401 (likewise)
from ofakit.hub.retrieval_bundle import RetrievalBundle  # noqa: F401 (lets `bundle_kind` know it)
from ofakit.hub_ids import sought_on_hub
from ofakit.input_files import read_json_file, refuse_odd_files
from ofakit.json_text import to_json
from ofakit.models.adapters.tasks import choose_task
from ofakit.models.onednn import use_onednn
from ofakit.models.types import MODELS

__all__ = [
    "CONFIGURATION",
    "load_bundle",
    "model_type_of",
    "read_configuration",
    "resolve_model",
    "save_bundle",
    "whole_configuration",
]

CONFIGURATION = "configuration.json"


def resolve_model(path_or_id: str | Path) -> Path:
    """The local directory of a model: the given one if it exists, otherwise downloaded from a hub.

    Args:
        path_or_id: A directory, or an id of ModelScope's hub or Hugging Face's, such as
            "damo/ofa_image-caption_coco_large_en" or "hf://OFA-Sys/ofa-tiny"; see `ofakit.hub_ids` and
            `ofakit.hub.hubs`.

    Raises:
        UsageError: It is neither a directory nor the id of a model that can be downloaded.
    """
    found = sought_on_hub(str(path_or_id))
    if found is None:
        return Path(os.path.expanduser(path_or_id))
    if "/" not in found.name:
        raise UsageError(f"no model directory {path_or_id}, and it is not a hub id (owner/name) either")
    return downloaded(found)


def save_bundle(
    bundle: ModelBundle, folder: str | Path, about: Mapping[str, Any] | None = None, keep_strangers: bool = False
) -> Path:
    """Write a model directory in one step: a killed process leaves either the old one or the new one.

    Args:
        bundle: What to save.
        folder: The directory; one that ofakit wrote is replaced.
        about: Further entries of the section `ofakit`, such as scores.
        keep_strangers: Keep files that others put into the old directory; otherwise such a directory is refused.

    Returns:
        The directory.

    Raises:
        UsageError: The old directory contains something that ofakit did not write.
        SaveError: Writing failed; the old directory is intact.
    """
    folder = Path(folder)
    text = to_json(whole_configuration(bundle, about), indent=1)
    with replace_folder(folder, keep_strangers) as new:
        MODELS.build({"type": bundle.model_type}).save(bundle.model, bundle.tokenizer, new)
        bundle.write_regions(new)
        (new / CONFIGURATION).write_text(text, encoding="utf-8")
    bundle.regions_are_kept(folder)
    return folder


def whole_configuration(bundle: ModelBundle, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The content of configuration.json, from which `load_bundle` restores the bundle.

    Args:
        bundle: The model.
        about: Further entries of the section `ofakit`.
    """
    configuration = bundle.configuration()
    learned = None if bundle.objectives is None else list(bundle.objectives)
    ours = {**configuration.get("ofakit", {}), "objectives": learned, "model_type": bundle.model_type}
    if bundle.model_task is not None:
        ours["model_task"] = bundle.model_task
    return {**configuration, "ofakit": {**ours, **(about or {})}}


def load_bundle(path_or_id: str | Path, allow_partial: bool = False, base: str | None = None) -> Any:
    """Read a model directory: ours, ModelScope's, Hugging Face's, or one with only adapters and the base it names.

    Args:
        path_or_id: The directory or a hub id.
        allow_partial: Accept missing or unexpected weights.
        base: For a directory of adapters, the base, if it is no longer where the directory says.

    Returns:
        The `ModelBundle` of the directory's task; captioning if the directory does not name one of ours.

    Raises:
        UsageError: Something is missing or does not fit.
    """
    folder = resolve_model(path_or_id)
    refuse_odd_files(folder)
    if not folder.is_dir():
        raise UsageError(f"expected a model directory, found the file {folder}; convert it with tools/checkpoint.py")
    adapted = is_adapter(folder)
    if base is not None and not adapted:
        raise UsageError(f"{folder} is a complete model and has no base; leave it out")
    if not adapted and not (folder / "config.json").exists():
        raise UsageError(f"{folder} is not a model directory: it has no config.json")
    configuration = read_configuration(folder / CONFIGURATION)
    kind, ours = _kind_of(configuration), configuration.get("ofakit", {})
    model_type = model_type_of(folder)
    if adapted:
        model, tokenizer = load_adapted(folder, model_type, base)
    else:
        model, tokenizer = MODELS.build({"type": model_type}).load(folder, allow_partial=allow_partial)
    use_onednn(model)  # as the trainer does, so that a model gives the same bits before and after
    try:
        bundle = kind.from_configuration(model, tokenizer, configuration)
    except ValidationError as error:
        raise UsageError(f"{folder / CONFIGURATION}: {error}") from None
    taught = ours.get("objectives")
    bundle.model_type, bundle.objectives = model_type, None if taught is None else tuple(taught)
    if adapted:
        bundle.read_regions(base_of(folder, base))
    bundle.read_regions(folder)
    bundle.model_task = ours.get("model_task")
    if bundle.model_task is not None:
        choose_task(model, bundle.model_task)
    return bundle


def model_type_of(folder: Path) -> str:
    """The model type of a directory.

    Args:
        folder: A directory written by ofakit or by other software.

    Raises:
        UsageError: Its configuration.json cannot be read.
    """
    ours = read_configuration(folder / CONFIGURATION).get("ofakit", {})
    return str(ours.get("model_type") or _type_of_stock(folder))


def _type_of_stock(folder: Path) -> str:
    """The type of a model written by other software, from its config.json: T5 and BART, or OFA."""
    path = folder / "config.json"
    found = read_json_file(path, "the configuration of a model") if path.is_file() else None
    return "vl" if isinstance(found, dict) and found.get("model_type") in ("t5", "bart") else "ofa"


def _kind_of(configuration: Mapping[str, Any]) -> type[ModelBundle]:
    """The bundle class of a directory's task; captioning if the task is not one of ours."""
    if "ofakit" not in configuration:
        return CaptionBundle
    return bundle_kind(str(configuration.get("task", CAPTIONING)))


def read_configuration(path: Path) -> dict[str, Any]:
    """The content of a file configuration.json; empty for a Hugging Face directory without one.

    Args:
        path: The file.

    Raises:
        UsageError: It is not a JSON object, or its section `ofakit` is not one.
    """
    if not os.path.lexists(path):
        return {}
    found = read_json_file(path, "ModelScope's configuration")
    if not isinstance(found, dict):
        raise UsageError(f"{path}: expected a JSON object, found {found!r}")
    if not isinstance(found.get("ofakit", {}), dict):
        raise UsageError(f"{path}: expected an object as 'ofakit', found {found['ofakit']!r}")
    return found

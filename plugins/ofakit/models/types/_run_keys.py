"""What the configuration of a run says of its network that the weights of a snapshot do not tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.adapters.adding import adapter_settings
from ofakit.models.network_config import NetworkConfig

__all__ = ["keys_of_run"]


def keys_of_run(section: ModelSection, family: type[NetworkConfig], backbone: str) -> dict[str, Any]:
    """Keys of a network's configuration.

    Args:
        section: The section `model` of the run's configuration.
        family: Reads the directory that the run started from, if it is still there.
        backbone: What the configuration calls the network of timm that it sees through.

    Returns:
        Those of the directory, overridden by those of the section, with its adapters and its backbone.

    Raises:
        UsageError: The adapters of the section are none that are known here.
    """
    keys: dict[str, Any] = {**_start(section, family), **section.config}
    if section.adapter is not None:
        wanted = section.adapter.model_dump()
        keys["adapter"] = {"type": wanted["type"], **adapter_settings(wanted).model_dump(mode="json")}
    if section.backbone is not None:
        keys[backbone] = section.backbone.network()
    return keys


def _start(section: ModelSection, family: type[NetworkConfig]) -> dict[str, Any]:
    """The configuration of the directory that a run started from; empty where it was none, or is gone."""
    if section.path is None or not (Path(section.path) / "config.json").is_file():
        return {}
    try:
        return family.from_pretrained(section.path).to_dict()
    except UsageError:  # another model is there by now
        return {}

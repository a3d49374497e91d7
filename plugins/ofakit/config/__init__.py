"""One JSON file → checked, typed objects. See `ofakit.config.schema` for every key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ofakit.lazy import exports

if TYPE_CHECKING:
    from ofakit.config.load import json_schema, load_config, parse_config
    from ofakit.config.schema import ExperimentConfig

__all__ = ["ExperimentConfig", "load_config", "parse_config", "json_schema"]

__getattr__ = exports(
    __name__,
    {
        "ofakit.config.schema": ["ExperimentConfig"],
        "ofakit.config.load": ["load_config", "parse_config", "json_schema"],
    },
)

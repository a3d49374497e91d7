"""The JSON schema of a sweep's file, by which editors complete and check it.

    python -m ofakit.sweeps.sweep_schema > plugins/ofakit/sweeps/sweep.schema.json

prints the file that is shipped, which the files in configs/sweeps name as their "$schema".
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from pydantic import create_model

from ofakit.config.load import json_schema
from ofakit.json_text import to_json
from ofakit.sweeps.searches import SEARCHES
from ofakit.sweeps.sweep_config import SweepConfig

__all__ = ["sweep_schema"]


def sweep_schema() -> dict[str, Any]:
    """The schema, with the keys of every search, and with parameters also as bare lists of their values."""
    searches = [SEARCHES.get(name) for name in SEARCHES.names()]
    schema = json_schema(create_model("SweepConfig", __base__=SweepConfig, search=(reduce(or_, searches), ...)))
    ranges = schema["properties"]["parameters"]["additionalProperties"]
    schema["properties"]["parameters"]["additionalProperties"] = {"anyOf": [{"type": "array", "minItems": 1}, ranges]}
    return schema


if __name__ == "__main__":
    print(to_json(sweep_schema(), indent=1))

"""The page that lists every configuration key, made from the schema: this module prints docs/configuration.md.

With the argument `schema` it prints config/experiment.schema.json, which a file may name as its "$schema".
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ofakit.config.load import json_schema, own_section
from ofakit.config.schema import ExperimentConfig

__all__ = ["reference_page"]

HEAD = """# Configuration

One JSON file describes one experiment. `"extends": "base.json"` builds on another file, whose keys it overrides (paths
are relative to the file), and `--set a.b=c` overrides a key from the command line; the value is JSON or, failing that,
text. An unknown key is an error that names the nearest valid one. An object with a `type` names a file of the package,
such as a reader, an objective or a reward; its other keys are the arguments of the class in that file.

`"$schema"` lets an editor complete and check the file while you type. It names the JSON schema by a path relative to
the file, as the files in `configs/` do, or by an address: the documentation site serves `experiment.schema.json` and,
for sweeps, `sweep.schema.json`. In an installed package they are `ofakit/config/experiment.schema.json` and
`ofakit/sweeps/sweep.schema.json`.

    {"$schema": "../plugins/ofakit/config/experiment.schema.json", "extends": "quickstart.json", "seed": 8}

Only `data.reader` is required. This page is generated from the schema by `python -m ofakit.config.reference`.
"""


def reference_page() -> str:
    """The page as Markdown."""
    return HEAD + "".join(_tables(ExperimentConfig, ""))


def _tables(section: type[BaseModel], prefix: str) -> list[str]:
    """A section's table, then those of its own sections."""
    rows, below = [], []
    for name, field in section.model_fields.items():
        inner = own_section(field.annotation)
        closed = inner is not None and inner.model_config.get("extra") == "forbid"
        if inner is not None and closed:
            below += _tables(inner, f"{prefix}{name}.")
        if not closed or field.default is None:
            rows.append(f"| `{prefix}{name}` | {_default(field)} | {_about(field)} |\n")
    title = prefix.rstrip(".") or "the experiment"
    about = (section.__doc__ or "").strip().splitlines()[0]
    return [f"\n## {title}\n\n{about}\n\n| key | default | |\n|---|---|---|\n", *rows, *below]


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    if isinstance(value, dict):
        value = {key: item.model_dump() if isinstance(item, BaseModel) else item for key, item in value.items()}
    return f"`{value}`".replace("|", "\\|") if value not in ("", [], {}) else ""


def _about(field: Any) -> str:
    """What the key means and what it may be."""
    limits = [
        f"{words} {getattr(rule, name)}"
        for rule in field.metadata
        for name, words in (
            ("ge", "at least"),
            ("gt", "above"),
            ("le", "at most"),
            ("lt", "below"),
            ("multiple_of", "a multiple of"),
        )
        if getattr(rule, name, None) is not None
    ]
    choices = [f"`{choice}`" for choice in getattr(field.annotation, "__args__", ()) if isinstance(choice, str)]
    parts = [field.description or "", ", ".join(limits), " or ".join(choices)]
    return "; ".join(part for part in parts if part).replace("<", "&lt;")


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1) if sys.argv[1:] == ["schema"] else reference_page().rstrip("\n"))

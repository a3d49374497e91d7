"""Read an experiment's JSON file: follow `extends`, apply `--set`, check every key.

load_config("configs/caption/flickrstyle.json", ["data.root=/data", "train.max_epochs=3"])
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ofakit.config.origin import Origin
from ofakit.config.schema import ExperimentConfig
from ofakit.errors import UsageError, did_you_mean
from ofakit.input_files import read_json_file
from ofakit.json_text import NotJson, from_json

__all__ = ["checked", "json_schema", "laid_over", "load_config", "own_section", "parse_config", "read_values"]

SCHEMA_KEY = "$schema"
"""What editors know the schema of a JSON file by; it says nothing of the experiment."""

ELSEWHERE = {
    "learning_rate": "train.optimizer.lr", "beam_size": "generation.num_beams", "beams": "generation.num_beams",
    "num_workers": "train.dataloader.workers_per_gpu", "batch": "train.dataloader.batch_size_per_gpu",
    "max_grad_norm": "train.clip_norm", "grad_clip": "train.clip_norm", "fp16": "train.precision",
    "bf16": "train.precision", "use_fp16": "train.precision", "warmup_ratio": "train.lr_scheduler.warmup_proportion",
    "image_size": "preprocessor.patch_image_size", "checkpoint": "model.path", "pretrained": "model.path",
    "output_dir": "work_dir", "num_train_epochs": "train.max_epochs",
}  # fmt: skip
"""Where the keys of other trainers are found here."""

Schema = TypeVar("Schema", bound=BaseModel)


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> ExperimentConfig:
    """The checked configuration of a file.

    Args:
        path: A JSON file; its `extends` is followed relative to it.
        overrides: `key=value` texts with dotted keys, as given by `--set`; a value is JSON, or else text.

    Raises:
        UsageError: A file is missing or is not JSON, a key is unknown, or a value is out of range.
    """
    overrides = list(overrides)
    values, files = read_values(path, overrides)
    return parse_config(values, files, overrides)


def parse_config(
    values: Mapping[str, Any], files: Sequence[Path] = (), overrides: Sequence[str] = ()
) -> ExperimentConfig:
    """Check a configuration that is in memory.

    Args:
        values: The configuration.
        files: The files it came from, the base last; used only in messages.
        overrides: The `--set` texts that were applied; used only in messages.

    Raises:
        UsageError: A key is unknown or a value is out of range.
    """
    config = checked(ExperimentConfig, {k: v for k, v in values.items() if k != SCHEMA_KEY}, files, overrides)
    config._origin = Origin(files, overrides)
    return config


def read_values(path: str | Path, overrides: Iterable[str] = ()) -> tuple[dict[str, Any], list[Path]]:
    """The values of a JSON file over the files it extends, with `--set` on top; not checked yet.

    Args:
        path: The file.
        overrides: `key=value` texts.

    Returns:
        The values, and the files they came from, the base last.

    Raises:
        UsageError: A file is missing or is not JSON, or an override cannot be applied.
    """
    values, files = _read_chain(Path(path), ())
    for override in overrides:
        _apply_override(values, override)
    return values, files


def checked(
    schema: type[Schema], values: Mapping[str, Any], files: Sequence[Path] = (), overrides: Sequence[str] = ()
) -> Schema:
    """Check values against a schema.

    Args:
        schema: What they must be; an unknown key is an error in every section that allows none.
        values: From `read_values`.
        files: The files they came from; used only in messages.
        overrides: The `--set` texts that were applied; used only in messages.

    Raises:
        UsageError: A key is unknown or a value is out of range; one line per fault.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UsageError(_explain(error, schema, files, overrides)) from None


def json_schema(of: type[BaseModel] = ExperimentConfig) -> dict[str, Any]:
    """The JSON schema of an experiment's file, by which editors complete and check it.

    A file may leave to its base what every experiment must have, so no key is required anywhere.

    Args:
        of: What the file holds, where it is not an experiment.
    """
    schema = of.model_json_schema()
    for section in (schema, *schema.get("$defs", {}).values()):
        section.pop("required", None)
    above = {SCHEMA_KEY: {"type": "string"}, "extends": {"type": "string", "description": "a base file"}}
    return {**schema, "properties": {**above, **schema["properties"]}}


def _read_chain(path: Path, above: tuple[Path, ...]) -> tuple[dict[str, Any], list[Path]]:
    """A file merged over those it extends, and the names of all of them."""
    path = Path(os.path.realpath(path))
    if path in above:
        raise UsageError(f"{path}: 'extends' forms a circle: {' -> '.join(p.name for p in (*above, path))}")
    if not os.path.lexists(path):
        raise UsageError(f"no configuration file {path}{_json_files_beside(path)}")
    values = read_json_file(path, "a configuration")
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected a JSON object, found a {type(values).__name__}")
    values.pop(SCHEMA_KEY, None)
    base = values.pop("extends", None)
    if base is None:
        return values, [path]
    if not isinstance(base, str):
        raise UsageError(f"{path}: 'extends' must be the name of a file, found {base!r}")
    base_values, base_files = _read_chain(path.parent / base, (*above, path))
    return laid_over(base_values, values), [path, *base_files]


def _json_files_beside(path: Path) -> str:
    """Which JSON files the folder of a missing one holds, as a clause."""
    beside = sorted(p.name for p in path.parent.glob("*.json")) if os.path.isdir(path.parent) else []
    return f": {did_you_mean(path.name, beside)}" if beside else ""


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One configuration over another; objects are merged, except that one with another `type` replaces the base's.

    Args:
        base: What lies below.
        over: What is laid on it.

    >>> laid_over({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'b': 3, 'c': 2}}
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("type", old.get("type")) == old.get("type"):
            merged[key] = laid_over(old, value)
        else:
            merged[key] = value
    return merged


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set one dotted key in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UsageError(f"--set expects key=value, found {override!r}")
    try:
        value = from_json(text)
    except NotJson:
        value = text
    except UsageError as error:
        raise UsageError(f"--set {override:.80}: {error}") from None
    *parents, last = key.split(".")
    node: Any = values
    for parent in parents:
        node = _step_into(node, parent, override)
    if isinstance(node, list):
        node[_position(node, last, override)] = value
    else:
        node[last] = value


def _step_into(node: Any, key: str, override: str) -> Any:
    """The object or list under `key`, created where an object lacks it."""
    if isinstance(node, list):
        return node[_position(node, key, override)]
    child = node.setdefault(key, {})
    if child is None:
        child = node[key] = {}
    if not isinstance(child, dict | list):
        raise UsageError(f"--set {override}: {key!r} is {child!r}, which has no keys below it")
    return child


def _position(items: list[Any], key: str, override: str) -> int:
    """A list position given as text."""
    if not key.isdecimal() or int(key) >= len(items):
        expected = f"a position from 0 to {len(items) - 1}" if items else "no position, because the list is empty"
        raise UsageError(f"--set {override}: expected {expected}, found {key!r}")
    return int(key)


def _explain(error: ValidationError, schema: type[BaseModel], files: Sequence[Path], overrides: Sequence[str]) -> str:
    """One line per fault: the key, what is wrong, the nearest valid key, and where it stands."""
    lines = []
    for fault in error.errors():
        location = tuple(fault["loc"])
        dotted = ".".join(str(part) for part in location)
        where = Origin(files, overrides).place_of(location)
        if fault["type"] == "extra_forbidden":
            lines.append(f"unknown key {dotted!r}{where}: {_nearest_key(schema, location)}")
        elif fault["type"] == "missing":
            lines.append(f"missing key {dotted!r}{where}")
        else:
            found = "" if fault["type"] == "value_error" else f", found {fault['input']!r:.200}"
            message = fault["msg"].removeprefix("Value error, ")
            lines.append(f"{dotted + ': ' if dotted else ''}{message}{found}{where}")
    return "\n".join(lines)


def _nearest_key(schema: type[BaseModel], location: Sequence[str | int]) -> str:
    """The valid key nearest to an unknown one, of its own section or else of any other, as a clause."""
    name, beside = str(location[-1]), _valid_keys(schema, location[:-1])
    elsewhere = {key: _likeness(name, key.rpartition(".")[2]) for key in _dotted_keys(schema)}
    known = ELSEWHERE.get(name)
    if known in elsewhere and name not in beside:
        elsewhere[known] = 1.0
    own = str(location[0])
    nearest = max(elsewhere, key=lambda key: (elsewhere[key], key.partition(".")[0] == own))
    if elsewhere[nearest] <= max(_likeness(name, key) for key in beside):
        return did_you_mean(name, beside)
    place = "" if "." in nearest else " at the top of the file"
    return f"did you mean {nearest!r}{place}? Available: {', '.join(sorted(beside))}"


def _likeness(name: str, key: str) -> float:
    """How alike two keys are, from 0 to 1; 0 unless they differ by a typo, or the name is a part of the key."""
    ratio = difflib.SequenceMatcher(None, key, name).ratio()
    is_part = name.replace("_", "") in key.replace("_", "")
    return ratio if ratio >= (0.5 if is_part else 0.8) else 0.0


def _valid_keys(schema: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys of the section at `location`; a name of the user's own, such as a parameter's, leads no deeper."""
    section = schema
    for part in location:
        if part in section.model_fields:
            section = _section_in(section.model_fields[part].annotation) or section
    keys = [field.alias or name for name, field in section.model_fields.items()]
    return ["extends", *keys] if section is schema else keys


def _dotted_keys(section: type[BaseModel], above: str = "") -> Iterator[str]:
    """Every key of a section and of those below it, but not of the items of lists and objects."""
    for name, field in section.model_fields.items():
        key = f"{above}{field.alias or name}"
        yield key
        inner = own_section(field.annotation)
        if inner is not None:
            yield from _dotted_keys(inner, f"{key}.")


def own_section(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation is, or may be beside null; the items of lists and objects are not looked at.

    Args:
        annotation: Of a key.
    """
    choices = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    sections = (choice for choice in choices if isinstance(choice, type) and get_origin(choice) is None)
    return next((section for section in sections if issubclass(section, BaseModel)), None)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation such as `list[Section] | None` speaks of."""
    if get_origin(annotation) is None:
        return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return next((section for section in map(_section_in, get_args(annotation)) if section is not None), None)

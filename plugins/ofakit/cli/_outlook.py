"""Describes a run before it starts, for people: `ofakit finetune --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ofakit.trainers.run_plan import plan_lines

__all__ = ["outlook_lines"]

GIB = 2**30


def outlook_lines(outlook: Mapping[str, Any]) -> list[str]:
    """The lines.

    Args:
        outlook: From `ofakit.trainers.dry_run`.
    """
    stages = outlook.get("stages")
    if not stages:
        return list(_lines(outlook))
    return [line for stage in stages for line in (f"stage {stage['name']}", *_lines(stage), "")]


def _lines(outlook: Mapping[str, Any]) -> Iterator[str]:
    yield from plan_lines(outlook)
    if "would_try" in outlook:
        sizes = ", ".join(map(str, outlook["would_try"]))
        yield f"batch       auto: would try batches of {sizes}; {outlook['batch_size']} should be the result"
    yield "images      not checked yet; a run leaves out examples with a damaged image"
    yield f"memory      {_memory(outlook['memory'], outlook['batch_size'])}"
    yield "example"
    yield from _entries(outlook["example"], "  ")


def _memory(memory: Mapping[str, int], batch_size: int) -> str:
    parts = ("weights", "gradients", "optimizer", "activations")
    said = ", ".join(f"{name} {memory[f'{name}_bytes'] / GIB:.2f}" for name in parts)
    return (
        f"about {memory['total_bytes'] / GIB:.2f} GiB per process: {said}; activations of a batch of {batch_size} are "
        f"estimated from {memory['counted_with_examples']} examples; temporary buffers of single operations come on top"
    )


def _entries(entries: Mapping[str, Any], indent: str) -> Iterator[str]:
    """The parts of an example, one a line."""
    for name, value in entries.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}"
            yield from _entries(value, f"{indent}  ")
        elif _are_mappings(value):
            for number, inner in enumerate(value, start=1):
                yield f"{indent}{name} {number}"
                yield from _entries(inner, f"{indent}  ")
        elif _are_ids(value):
            yield f"{indent}{name}: {' '.join(f'{number}={piece}' for number, piece in value)}"
        else:
            yield f"{indent}{name}: {value!r}"


def _are_mappings(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(inner, Mapping) for inner in value)


def _are_ids(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(inner, list) and len(inner) == 2 for inner in value)
    )

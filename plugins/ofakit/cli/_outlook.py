"""What a run would be, as lines for people: `ofakit finetune --dry-run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

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
    parameters, examples = outlook["parameters"], outlook["examples"]
    processes = f" x {outlook['processes']} processes" if outlook["processes"] > 1 else ""
    yield f"device      {outlook['device']}{processes}, {outlook['precision']}"
    yield f"parameters  {parameters['all']:,}, of which {parameters['learning']:,} learn"
    yield f"examples    {', '.join(f'{split} {count:,}' for split, count in examples.items())}"
    left_out = "".join(f", {count:,} left out: {reason}" for reason, count in outlook["left_out"].items())
    yield f"epoch       {outlook['training_examples']:,} training examples before images are looked at{left_out}"
    yield (
        f"steps       {outlook['steps']:,}, {outlook['steps_per_epoch']:,} an epoch, of "
        f"{outlook['examples_per_step']:,} examples each; objectives: {', '.join(outlook['objectives'])}"
    )
    yield f"memory      {_memory(outlook['memory'], outlook['batch_size'])}"
    yield "example"
    yield from _entries(outlook["example"], "  ")


def _memory(memory: Mapping[str, int], batch_size: int) -> str:
    parts = ("weights", "gradients", "optimizer", "activations")
    said = ", ".join(f"{name} {memory[f'{name}_bytes'] / GIB:.2f}" for name in parts)
    return (
        f"about {memory['total_bytes'] / GIB:.2f} GiB a process: {said}; activations of a batch of {batch_size} are "
        f"reckoned from {memory['counted_with_examples']} examples; the work space of single operations comes on top"
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

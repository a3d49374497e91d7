"""The files of models/ import each other in one direction: no circle, not even one that a function hides."""

from __future__ import annotations

import ast
from pathlib import Path

import ofakit.models

ROOM = Path(ofakit.models.__file__).parent
PACKAGE = "ofakit.models"


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOM.rglob("*.py"):
        parts = path.relative_to(ROOM).with_suffix("").parts
        found[".".join([PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """The files of the room that one imports, in functions and for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= members & known.keys() or {node.module}
    return names & known.keys()


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A path that ends where it begins; empty where there is none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            if found := visit(target, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := visit(name, []))), [])


def test_no_circle():
    known = modules()
    graph = {name: imports_of(path, known) for name, path in known.items()}
    assert graph["ofakit.models.ofa.model"] >= {"ofakit.models.base", "ofakit.models.ofa.checkpoints"}
    assert circle(graph) == []


def test_a_circle_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d", "b"}, "d": set()}) == ["b", "c", "b"]


def test_generation_knows_no_model():
    known = modules()
    for name, path in known.items():
        if name.startswith("ofakit.models.generation"):
            imported = imports_of(path, known)
            assert not {other for other in imported if other.startswith(("ofakit.models.ofa", "ofakit.models.base"))}
            text = path.read_text(encoding="utf-8")
            assert "image" not in text.lower(), name

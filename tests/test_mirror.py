"""Tests mirror the package: what a file of `plugins/ofakit` does, a test file of its name looks at.

`hub/plain.py` is tested in `tests/hub/test_plain.py`, `objectives/_views.py` in `tests/objectives/test_views.py`, and
what a package's `__init__.py` does itself in its `test_package.py`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, TESTS = ROOT / "plugins" / "ofakit", ROOT / "tests"

TESTED_ELSEWHERE = {
    "models/generation/protocol.py": "protocols alone; the models of tests/models/generation keep them",
    "config/component.py": "a declaration; tests/config/test_schema.py",
    "models/model_type.py": "what a kind of model must have; tests/models/types looks at each kind",
}
"""Files without a test file of their name, and why."""


def with_behaviour() -> list[str]:
    """The files that define a function or class of their own; a package's `__getattr__` is none."""
    return sorted(
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("__")
            for node in ast.parse(path.read_text(encoding="utf-8")).body
        )
    )


def namesake(file: str) -> Path:
    """Where its tests stand."""
    path = Path(file)
    name = "package" if path.stem == "__init__" else path.stem.lstrip("_")
    return TESTS / path.parent / f"test_{name}.py"


def has_tests(path: Path) -> bool:
    """Whether a file has a test function."""
    if not path.is_file():
        return False
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in nodes)


@pytest.mark.parametrize("file", with_behaviour())
def test_a_file_has_a_test_file_of_its_name(file):
    expected = namesake(file).relative_to(ROOT)
    if file in TESTED_ELSEWHERE:
        assert not has_tests(namesake(file)), f"{expected} is there: take {file} off the list of exceptions"
    else:
        assert has_tests(namesake(file)), f"plugins/ofakit/{file} has no tests: write them in {expected}"


def test_exceptions_are_files_that_there_are():
    assert set(TESTED_ELSEWHERE) <= set(with_behaviour())


def test_a_new_file_without_tests_would_be_found(tmp_path):
    assert not has_tests(namesake("hub/_no_such_file.py"))
    assert namesake("hub/_no_such_file.py") == TESTS / "hub" / "test_no_such_file.py"
    assert namesake("tasks/__init__.py") == TESTS / "tasks" / "test_package.py"
    (tmp_path / "test_empty.py").write_text("def helper(): ...\n")
    assert not has_tests(tmp_path / "test_empty.py")

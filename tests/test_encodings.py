"""Text is UTF-8 on every system: whoever opens a file as text, or reads what a process prints, says so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(path for room in ("plugins", "tools", "benchmarks") for path in (ROOT / room).rglob("*.py"))
NOT_TEXT = {"os", "Image", "tarfile", "zipfile", "wave"}
"""Whose `open` gives no text."""
BINARY_UNASKED = {(maker, owner) for maker in ("NamedTemporaryFile", "TemporaryFile") for owner in (None, "tempfile")}
BINARY_UNASKED |= {("open", owner) for owner in ("gzip", "bz2", "lzma")}
FILE_MAKERS = {"NamedTemporaryFile", "TemporaryFile", "FileHandler"}
RUNNERS = {"run", "Popen", "check_output"}


def name_of(call: ast.Call) -> tuple[str | None, str | None]:
    """The function that is called, and what it is an attribute of."""
    if isinstance(call.func, ast.Attribute):
        owner = call.func.value
        return call.func.attr, owner.id if isinstance(owner, ast.Name) else None
    return (call.func.id, None) if isinstance(call.func, ast.Name) else (None, None)


def is_binary(call: ast.Call, name: str) -> bool:
    """Whether a file is opened as bytes."""
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or [
        argument for argument in call.args if isinstance(argument, ast.Constant) and len(str(argument.value)) <= 3
    ]
    modes = [value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)]
    if given and not modes:  # a mode that is computed
        return True
    return any("b" in mode for mode in modes) or (not modes and name_of(call) in BINARY_UNASKED)


def fault(call: ast.Call) -> str | None:
    """What the call leaves to the system's usual encoding."""
    name, owner = name_of(call)
    keywords = {keyword.arg for keyword in call.keywords}
    if name is None or "encoding" in keywords or None in keywords:
        return None
    if name in ("read_text", "write_text") and len(call.args) <= (name == "write_text"):
        return name
    if name == "open" and owner not in NOT_TEXT and not is_binary(call, name) and "buffering" not in keywords:
        return name
    if name in FILE_MAKERS and not is_binary(call, name):
        return name
    if name in RUNNERS and {"text", "universal_newlines"} & keywords:
        return f"{name} with text"
    return None


def faults(source: str) -> list[tuple[int, str]]:
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [(call.lineno, said) for call in calls if (said := fault(call)) is not None]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("open('a')", "open"), ("open(p, 'w')", "open"), ("p.open()", "open"), ("p.read_text()", "read_text"),
        ("p.write_text(t)", "write_text"), ("run(c, text=True)", "run with text"), ("gzip.open(p, 'rt')", "open"),
        ("logging.FileHandler(p)", "FileHandler"), ("NamedTemporaryFile('w')", "NamedTemporaryFile"),
        ("open(p, encoding='utf-8')", None), ("open(p, 'rb')", None), ("p.open('wb')", None), ("os.open(p, f)", None),
        ("Image.open(p)", None), ("p.read_text('utf-8')", None), ("p.write_text(t, 'utf-8')", None),
        ("run(c, text=True, encoding='utf-8')", None), ("NamedTemporaryFile()", None), ("open(p, mode)", "open"),
        ("open(p, mode=mode)", None), ("gzip.open(p)", None),
        ("open(p, mode, buffering=0)", None),
    ],
)  # fmt: skip
def test_the_look_finds_what_it_should(source, said):
    assert [found for _, found in faults(source)] == ([] if said is None else [said])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_has_its_encoding_named(path):
    assert faults(path.read_text(encoding="utf-8")) == []

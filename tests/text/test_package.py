"""`ofakit.text` offers its names without importing their files, and shows them to type checkers."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys

import ofakit.text
import pytest


@pytest.mark.parametrize("name", ofakit.text.__all__)
def test_every_name_can_be_had(name):
    assert getattr(ofakit.text, name).__name__ == name


def test_type_checkers_are_shown_the_same_names_from_the_same_files():
    """The block under TYPE_CHECKING, which never runs, imports what `__getattr__` gives."""
    tree = ast.parse(inspect.getsource(ofakit.text))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    shown = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(shown) == ofakit.text.__all__
    for name, module in shown.items():
        assert getattr(ofakit.text, name) is vars(importlib.import_module(module))[name]


def test_importing_it_loads_neither_numba_nor_tokenizers():
    code = "import ofakit.text, sys; print(*(name in sys.modules for name in ('numba', 'numpy', 'tokenizers')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3

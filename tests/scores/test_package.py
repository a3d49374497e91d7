"""`ofakit.scores` is light, complete, and quick to use the second time."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys

import ofakit.scores
import pytest

CODE = """
from ofakit.scores import *
from ofakit.scores import bleu, cider, cider_d, document_frequency, ptb_tokenize, rouge_l
candidates, references = ptb_tokenize(["A dog runs."]), [ptb_tokenize(["A dog ran."])]
bleu(candidates, references), rouge_l(candidates, references)
cider(candidates, references), cider_d(candidates, references, document_frequency(references))
import sys
print(*sorted({m.partition(".")[0] for m in sys.modules}))
"""


def test_using_scores_loads_neither_torch_nor_modelscope():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "numba" in loaded
    assert not loaded & {"torch", "modelscope", "transformers", "torchvision"}


def test_importing_scores_does_not_even_load_numba():
    code = "import ofakit.scores, sys; print('numba' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", ofakit.scores.__all__)
def test_every_name_can_be_had(name):
    assert getattr(ofakit.scores, name).__name__ == name


def test_type_checkers_are_shown_the_same_names_from_the_same_files():
    """The block under TYPE_CHECKING, which never runs, imports what `__getattr__` gives."""
    tree = ast.parse(inspect.getsource(ofakit.scores))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    shown = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(shown) == ofakit.scores.__all__
    for name, module in shown.items():
        assert getattr(ofakit.scores, name) is vars(importlib.import_module(module))[name]


def test_an_unknown_name_is_named():
    with pytest.raises(AttributeError, match="'blue'"):
        _ = ofakit.scores.blue


def test_compiled_functions_are_kept_on_disk():
    for name in ("bleu", "cider", "diversity", "document_frequencies", "ngrams", "rouge", "text_cache"):
        module = importlib.import_module(f"ofakit.scores.{name}")
        compiled = [f for f in vars(module).values() if hasattr(f, "py_func") and f.__module__ == module.__name__]
        assert compiled
        for function in compiled:
            assert type(function._cache).__name__ == "FunctionCache"

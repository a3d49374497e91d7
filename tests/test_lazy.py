"""A package that offers names lazily, whatever is imported first, and tells type checkers the same."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import ofakit
import pytest
from ofakit.lazy import exports


def printed_by(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "first",
    ["pass", "import ofakit.scores.cider", "from ofakit.scores.cider import cider_d", "from ofakit.scores import bleu"],
)
def test_a_file_called_like_what_it_offers_never_hides_it(first):
    code = f"import ofakit.scores\n{first}\nfrom ofakit.scores import cider\nprint(type(cider).__name__)"
    assert printed_by(code) == "function"


def test_nothing_is_imported_before_it_is_used():
    assert printed_by("import ofakit.scores, sys\nprint('ofakit.scores.cider' in sys.modules)") == "False"


def test_an_unknown_name_is_named():
    with pytest.raises(ImportError, match="blue"):
        from ofakit.scores import blue  # noqa: F401


def test_a_name_is_looked_up_in_its_file_and_an_unknown_one_is_an_attribute_error():
    look_up = exports("ofakit.text", {"math": ["pi", "tau"], "json.decoder": ["JSONDecoder"]})
    assert (look_up("pi"), look_up("JSONDecoder").__name__) == (3.141592653589793, "JSONDecoder")
    with pytest.raises(AttributeError, match="module 'ofakit.text' has no attribute 'e'"):
        look_up("e")


PACKAGE = Path(ofakit.__file__).parent


def lazy_packages() -> list[Path]:
    """The packages that tell type checkers what they offer."""
    found = sorted(PACKAGE.rglob("__init__.py"))
    return [path for path in found if "if TYPE_CHECKING:" in (text := path.read_text()) and "exports(" in text]


@pytest.mark.parametrize("path", lazy_packages(), ids=lambda path: str(path.parent.relative_to(PACKAGE)))
def test_type_checkers_see_what_a_package_offers(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    (block,) = [node for node in body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    (call,) = [node for node in ast.walk(ast.Module(body, [])) if is_call(node, "exports")]
    offered = {name: module for module, names in ast.literal_eval(call.args[1]).items() for name in names}
    assert seen == offered


def is_call(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name

"""A room imports only rooms above it, in the order of docs/architecture.md; and the light imports stay light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "plugins" / "ofakit"


def rooms_in_order() -> list[str]:
    """The rooms as the table of the architecture page names them."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return [room.rstrip("/").removesuffix(".py") for room in re.findall(r"^\| `([\w./]+)` \|", page, flags=re.M)]


def imported_modules(path: Path) -> set[str]:
    """Dotted names of everything a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(module: str, rooms: list[str]) -> str | None:
    """The room of `ofakit.<room>…`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "ofakit" and parts[1] in rooms else None


def files() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem != "__init__")


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_rooms_above_its_own(path):
    rooms = rooms_in_order()
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert own in rooms, f"the room {own} is missing from docs/architecture.md"
    for module in imported_modules(path):
        room = room_of(module, rooms)
        if room is not None and room != own:
            assert rooms.index(room) < rooms.index(own), f"{own} imports {module}, which stands below it"


def modules_after(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement ran in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement", ["import ofakit", "import ofakit.scores", "import ofakit.text", "import ofakit.data"]
)
def test_light_imports_load_neither_torch_nor_modelscope(statement):
    loaded = modules_after(statement)
    assert "ofakit" in loaded
    assert not loaded & {"torch", "modelscope", "transformers"}

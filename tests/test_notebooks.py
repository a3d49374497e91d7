"""The notebooks of docs/notebooks run from top to bottom and show what they speak of; in git they have no outputs.

Each is run by a kernel of its own, in a copy of its folder, without the cell that installs.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SECONDS = 600
"""How long one cell may take; on one core that is idle a whole notebook takes less than a minute."""


def run(path: Path, folder: Path) -> list[str]:
    """The last output of every cell of code, as text.

    Args:
        path: The notebook.
        folder: Where it runs, two folders down, beside `configs`.
    """
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    place = folder / "docs" / "notebooks"
    place.mkdir(parents=True)
    (folder / "configs").symlink_to(ROOT / "configs")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "install" not in cell.metadata.get("tags", [])]
    nbclient.NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(place)}}).execute()
    outputs = [cell.outputs[-1:] for cell in notebook.cells if cell.cell_type == "code"]
    return [
        (found[0].get("data", {}).get("text/plain") or found[0].get("text", "")) if found else "" for found in outputs
    ]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """What the kernel inherits: the package of this checkout."""
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT / "plugins"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    )


def scores_in(outputs: list[str]) -> dict[str, float]:
    """The one output that is an object of Python."""
    (found,) = [text for text in outputs if text.startswith("{")]
    return ast.literal_eval(found)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells and not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    (install,) = [cell for cell in cells if "install" in cell["metadata"].get("tags", [])]
    assert "".join(install["source"]).startswith("%pip install")


def test_the_captioner_of_the_notebook_sees_and_heeds_styles(tmp_path):
    outputs = run(ROOT / "docs/notebooks/captioning.ipynb", tmp_path)
    scores = scores_in(outputs)
    assert scores["cider"] > 1.3 * scores["cider_shuffled"] > 0 and scores["cider"] > 1
    assert scores["style_accuracy"] > 0.9
    (captions,) = [text for text in outputs if "pirate" in text and "robot" in text]
    assert len(captions.splitlines()) == 4
    assert (tmp_path / "docs/notebooks/work_dir/captioning/report.html").stat().st_size > 10_000


def test_the_retriever_of_the_notebook_finds_what_words_alone_do_not(tmp_path):
    outputs = run(ROOT / "docs/notebooks/retrieval.ipynb", tmp_path)
    scores = scores_in(outputs)
    assert scores["dense"] > 0.5 > 0.1 > scores["bm25"]
    assert scores["fused"] >= scores["dense"] - 0.02
    (ranked,) = [text for text in outputs if text.count("\n") == 3]
    assert "*" in ranked

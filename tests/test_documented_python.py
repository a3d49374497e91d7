"""The Python of README and docs: it compiles, what it imports from ofakit is there, and most of it is run.

`RUN` says which blocks are run, in the folder of stand-ins that commands have, and with what besides: objects that the
text around a block speaks of. The rest need a hub, a server or minutes, or only show a form.
"""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.documented import PAGES, Block, imported, python_blocks
from tests.documented_folder import StandIns

BLOCKS = [block for page in PAGES for block in python_blocks(page)]


def named(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_what_is_imported_is_there(block):
    for module, name in imported(block.text):
        if module == "ofakit.tasks.style_recognition":  # the page of extensions adds it
            continue
        found = importlib.import_module(module)
        assert name is None or hasattr(found, name), f"{named(block)}: {module} has no {name}"


def passages() -> Any:
    from ofakit.data.knowledge_base import KnowledgeBase
    from ofakit.data.passage import Passage

    return KnowledgeBase([Passage(f"p{n}", text) for n, text in ((1, "a red flag"), (3, "a dog"), (7, "the sea"))])


def rankings() -> dict[str, Any]:
    from ofakit.config.retrieval import FusionSection
    from ofakit.retrieval import Qrels, Run

    one, other = Run({"q1": {"p7": 2.0, "p3": 1.0}}, name="one"), Run({"q1": {"p3": 3.0, "p1": 1.0}}, name="other")
    values = {"first_values": np.array([0.0, 0.5, 1.0]), "second_values": np.array([0.5, 0.5, 0.0])}
    fused = {"bm25": one, "dense": other, "bm25_val": one, "dense_val": other, "section": FusionSection()}
    return {**values, **fused, "qrels_val": Qrels({"q1": {"p3": 1}})}


def losses() -> dict[str, Any]:
    import torch

    rows = torch.eye(3)
    return {
        "queries": rows,
        "passages": rows,
        "images": rows,
        "texts": rows,
        "labels": torch.arange(3),
        "logit_scale": torch.tensor(2.0),
    }


def teacher() -> dict[str, Any]:
    from ofakit.data.query import Query

    return {"base": passages(), "queries": [Query("q1", "what ?")]}


def search(folder: Path) -> dict[str, Any]:
    """An index beside the page, and vectors to look for."""
    from ofakit.retrieval import write_index

    write_index(folder / "base.index", np.eye(4, dtype=np.float32), ["a", "b", "c", "d"])
    return {"vectors": np.eye(4, dtype=np.float32)[:2]}


def pixels() -> dict[str, Any]:
    import torch

    return {"images": torch.zeros(1, 3, 32, 32)}


RUN: dict[tuple[str, str], Any] = {
    ("README.md", 'pipeline("image-captioning"'): dict,
    ("docs/knowledge-bases.md", "find_relevant("): dict,
    ("docs/knowledge-bases.md", "StoredBase"): lambda: {"reader": type("Reader", (), {"passages": passages})},
    ("docs/moving/from-pycocoevalcap.md", "cider("): dict,
    ("docs/objectives.md", "rerank("): dict,
    ("docs/rankings.md", 'evaluate(run, qrels, ["mrr@100"'): dict,
    ("docs/rankings.md", "paired_tests("): rankings,
    ("docs/rankings.md", "fit_weights("): rankings,
    ("docs/rankings.md", "BM25Index.build("): lambda: {"ids": ["a", "b"], "texts": ["a dog", "a question of taste"]},
    ("docs/retrieval-training.md", "dpr_loss("): losses,
    ("docs/retrieval-training.md", "teacher_scores("): teacher,
    ("docs/retrieval.md", "load_index("): search,
    ("docs/retrieval.md", "multi-modal-embedding"): dict,
    ("docs/reports.md", "run_report("): dict,
    ("docs/scaling.md", "nprobe=64"): search,
    ("docs/scores.md", "ptb_tokenize(["): dict,
    ("docs/scores.md", "tokenize(["): dict,
    ("docs/scores.md", "StyleClassifier"): dict,
}  # fmt: skip
"""By page and a piece of the block: what makes the names that it takes as given."""


def block_of(page: str, piece: str) -> Block:
    """The first block of a page with the piece."""
    found = [block for block in BLOCKS if block.page == page and piece in block.text]
    assert found, f"no Python on {page} has {piece!r}: take out the row of RUN"
    return found[0]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> StandIns:
    return StandIns(tmp_path_factory.mktemp("documented"))


@pytest.mark.parametrize(("page", "piece"), list(RUN))
def test_a_block_runs(page, piece, stand_ins, monkeypatch):
    block, make = block_of(page, piece), RUN[page, piece]
    folder = stand_ins.page(page)
    monkeypatch.chdir(folder)
    names = make(folder) if make is search else make()
    exec(compile(block.text, named(block), "exec"), names)  # noqa: S102
    assert_comments(block, names)


def assert_comments(block: Block, names: dict[str, Any]) -> None:
    """A comment that is a value of Python, beside an expression, is what the expression gives."""
    for line in block.text.splitlines():
        code, _, comment = line.partition("  # ")
        try:
            expected = ast.literal_eval(comment.strip())
            ast.parse(code.strip(), mode="eval")
        except (SyntaxError, ValueError):
            continue
        assert json.loads(json.dumps(eval(code.strip(), names))) == pytest.approx(expected), line  # noqa: S307


def test_a_wrong_name_would_be_found():
    with pytest.raises(AssertionError, match="no no_such_score"):
        test_what_is_imported_is_there(Block("PAGE", 1, "", "from ofakit.scores import no_such_score"))
    with pytest.raises(ModuleNotFoundError):
        test_what_is_imported_is_there(Block("PAGE", 1, "", "import ofakit.no_such_room"))


def test_a_wrong_value_in_a_comment_would_be_found():
    with pytest.raises(AssertionError):
        assert_comments(Block("PAGE", 1, "", "sum([1, 2])    # 4"), {})

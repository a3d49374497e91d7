"""tools/compare.py: captions or rankings, and what does not go together."""

from __future__ import annotations

import pytest
from ofakit.cli._tables import latex_table, markdown_table
from ofakit.cli.compare import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pass two prediction files or more, or --qrels FILE --run FILE --run FILE"),
        (["a.json", "b.json", "--run", "a.trec"], "pass either prediction files or --run FILE --run FILE, not both"),
        (["--qrels", "q.trec"], "pass two prediction files or more, or --qrels FILE"),
        (["a.json", "b.json", "--metric", "mrr"], "--metric only works with --run"),
        (["a.json", "b.json", "--pooled"], "--pooled only works with --run"),
        (["--run", "a", "b", "--qrels", "q", "--references", "r"], "--references only works with prediction files"),
        (["--run", "a", "b", "--qrels", "q", "--no-java"], "--no-java only works with prediction files"),
        (["--run", "a", "--qrels", "q"], "expected two run files or more, found 1"),
        (["--run", "a", "b", "a", "--qrels", "q"], "a is given twice; name each system's runs once"),
        (["--run", "a", "b"], "--run needs --qrels FILE"),
        (["--run", "a", "b", "--qrels", "none.trec"], "expected judgements in none.trec; there is no such file"),
        (["--run", "a", "b", "--qrels", "q", "--out", "."], "--markdown: cannot write .: it is a folder"),
        (["--run", "a", "b", "--qrels", "q", "--latex", f"{__file__}/t.tex"], "--latex: cannot write"),
    ],
)
def test_what_does_not_go_together_exits_with_2(arguments, message, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "Traceback" not in printed.err and printed.out == ""


@pytest.mark.parametrize("kind", ["markdown", "latex"])
def test_only_a_table_of_a_comparison_is_replaced(tmp_path, capsys, kind):
    thesis, table = tmp_path / "thesis", tmp_path / "table"
    thesis.write_text("years of work")
    table.write_text({"markdown": latex_table, "latex": markdown_table}[kind](RESULT))
    for path in (thesis, table):
        assert main(["a.json", "b.json", f"--{kind}", str(path)]) == 2
        assert f"{path} already exists and is not a comparison table" in capsys.readouterr().err
    assert thesis.read_text() == "years of work"
    table.write_text({"markdown": markdown_table, "latex": latex_table}[kind](RESULT))
    assert main(["a.json", "b.json", f"--{kind}", str(table)]) == 2
    assert "already exists" not in capsys.readouterr().err


RESULT = {
    "items": 2,
    "systems": [{"name": name, "scores": {"cider": 0.5}, "intervals": {"cider": [0.4, 0.6]}} for name in "ab"],
    "tests": [],
}

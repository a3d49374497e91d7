"""Tables of a comparison: names, letters of the systems that are beaten, and LaTeX that compiles."""

from __future__ import annotations

import pytest
from ofakit.cli._tables import latex_table, markdown_table
from ofakit.scores.score_titles import title


def result(chance=0.01, names=("poor", "50%_good&new"), **more):
    """Two systems, of which the second is better by MRR@100 with a p of `chance`, and by BLEU-1 by chance."""
    systems = [
        {"name": name, "scores": {"mrr@100": 0.25 * n, "bleu1": 0.5, **({"only": 1.0} if n > 1 else {})},
         "intervals": {"mrr@100": [0.2, 0.3], "bleu1": [0.4, 0.6], "only": [1.0, 1.0]}}
        for n, name in enumerate(names, start=1)
    ]  # fmt: skip
    measures = {"mrr@100": {"difference": 0.25, "p": chance}, "bleu1": {"difference": 0.0, "p": 0.4}}
    tests = [{"first": names[0], "second": names[1], "measures": measures}]
    return {"systems": systems, "tests": tests, **(more or {"queries": 60})}


def test_the_markdown_table_marks_who_is_beaten():
    header, rule, poor, good, _, legend = markdown_table(result()).splitlines()
    assert header == "| | system | MRR@100 | BLEU-1 |"
    assert rule == "|---|---|---:|---:|"
    assert poor == "| a | poor | 25.0 ±5.0 | 50.0 ±10.0 |"
    assert good == "| b | 50%_good&new | 50.0 ±5.0<sup>a</sup> | 50.0 ±10.0 |"
    assert "of 60 queries" in legend and "p ≤ 0.01" in legend
    assert "of 7 items" in markdown_table(result(items=7))


@pytest.mark.parametrize(("chance", "p", "marked"), [(0.01, 0.01, 1), (0.0101, 0.01, 0), (0.04, 0.05, 1)])
def test_a_difference_counts_up_to_p(chance, p, marked):
    assert markdown_table(result(chance), p).count("<sup>") == marked
    assert latex_table(result(chance), p).count("$^{a}$") == marked


def test_the_worse_system_beats_nobody():
    turned = result()
    turned["tests"][0]["measures"]["mrr@100"]["difference"] = -0.25
    table = markdown_table(turned).splitlines()
    assert "<sup>b</sup>" in table[2] and "<sup>" not in table[3]


def test_the_latex_table_is_whole_and_safe():
    table = latex_table(result()).splitlines()
    assert table[0] == r"\begin{tabular}{llrr}" and r"\end{tabular}" in table
    assert r" & system & MRR@100 & BLEU-1 \\" in table
    row = next(line for line in table if line.startswith("b & "))
    assert row == r"b & 50\%\_good\&new & 50.0$^{a}$ & 50.0 \\"


def test_each_group_and_style_has_rows_of_its_own():
    parts = {"groups": {"near|out": {**result(0.5), "items": 7}}, "styles": {"50%": {**result(), "items": 9}}}
    table = markdown_table(result(items=16, **parts)).splitlines()
    assert table[4] == r"| | **near\|out** (7 items) | | |" and table[7] == "| | **50%** (9 items) | | |"
    assert [line.count("<sup>a</sup>") for line in table[2:10]] == [0, 1, 0, 0, 0, 0, 0, 1]
    assert {line.replace(r"\|", "").count("|") for line in table[:10]} == {5}
    latex = latex_table(result(items=16, **parts)).splitlines()
    assert r"\multicolumn{4}{l}{50\% (9 items)} \\" in latex and latex.count(r"\midrule") == 3
    assert sum(line.startswith("b & ") for line in latex) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [("bleu4", "BLEU-4"), ("rouge_l", "ROUGE-L"), ("p@1", "P@1"), ("precision@20", "P@20"), ("hit_rate@20", "Hit@20"),
     ("ndcg_burges@10", "nDCG (Burges)@10"), ("map", "MAP"), ("r-precision", "R-precision"), ("own", "own")],
)  # fmt: skip
def test_scores_have_the_names_of_papers(name, expected):
    assert title(name) == expected

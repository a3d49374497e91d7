"""Tables of a comparison, in Markdown and LaTeX; raised letters name the systems that a system beats.

Below the rows of all items stand those of each group and style, where there are any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ofakit.scores.score_titles import title

__all__ = ["latex_table", "markdown_table"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def markdown_table(result: Mapping[str, Any], p: float = 0.01) -> str:
    """Scores times 100, half the confidence interval, and the letters of the systems each one beats.

    Args:
        result: `systems` and `tests` of a comparison, and of how many `items` or `queries` they are.
        p: A difference is marked when its p is at most this.
    """
    measures = _common_measures(result)
    lines = ["| | system | " + " | ".join(map(title, measures)) + " |"]
    lines.append("|---|---|" + "---:|" * len(measures))
    lines += _markdown_rows(result, measures, p)
    for part, own in _parts(result):
        lines.append(f"| | **{part.replace('|', chr(92) + '|')}** ({own['items']} items) |" + " |" * len(measures))
        lines += _markdown_rows(own, measures, p)
    return "\n".join([*lines, "", _legend(result, p)])


def _markdown_rows(result: Mapping[str, Any], measures: Sequence[str], p: float) -> Iterator[str]:
    for letter, system in zip(_LETTERS, result["systems"], strict=False):
        cells = [
            f"{_scaled(system, name)} ±{_margin(system, name)}{_raised(beaten, '<sup>', '</sup>')}"
            for name in measures
            for beaten in [_beaten(result, system["name"], name, p)]
        ]
        yield f"| {letter} | {system['name']} | " + " | ".join(cells) + " |"


def latex_table(result: Mapping[str, Any], p: float = 0.01) -> str:
    """The same as a LaTeX table (package booktabs).

    Args:
        result: `systems` and `tests` of a comparison, and of how many `items` or `queries` they are.
        p: A difference is marked when its p is at most this.
    """
    measures = _common_measures(result)
    lines = [rf"\begin{{tabular}}{{ll{'r' * len(measures)}}}", r"\toprule"]
    lines.append(" & ".join(["", "system", *(_latex_safe(title(name)) for name in measures)]) + r" \\")
    lines.append(r"\midrule")
    lines += _latex_rows(result, measures, p)
    for part, own in _parts(result):
        said = f"{_latex_safe(part)} ({own['items']} items)"
        lines += [r"\midrule", rf"\multicolumn{{{2 + len(measures)}}}{{l}}{{{said}}} \\"]
        lines += _latex_rows(own, measures, p)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", f"% {_legend(result, p)}"])


def _latex_rows(result: Mapping[str, Any], measures: Sequence[str], p: float) -> Iterator[str]:
    for letter, system in zip(_LETTERS, result["systems"], strict=False):
        cells = [
            f"{_scaled(system, name)}{_raised(_beaten(result, system['name'], name, p), '$^{', '}$')}"
            for name in measures
        ]
        yield " & ".join([letter, _latex_safe(system["name"]), *cells]) + r" \\"


def _parts(result: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The comparisons within groups and styles."""
    for kind in ("groups", "styles"):
        yield from result.get(kind, {}).items()


def _common_measures(result: Mapping[str, Any]) -> list[str]:
    first, *others = (system["scores"] for system in result["systems"])
    return [name for name in first if all(name in scores for scores in others)]


def _scaled(system: Mapping[str, Any], name: str) -> str:
    return f"{100 * system['scores'][name]:.1f}"


def _margin(system: Mapping[str, Any], name: str) -> str:
    low, high = system["intervals"][name]
    return f"{100 * (high - low) / 2:.1f}"


def _raised(letters: str, before: str, after: str) -> str:
    return f"{before}{letters}{after}" if letters else ""


def _beaten(result: Mapping[str, Any], system: str, measure: str, p: float) -> str:
    """Letters of the systems that `system` beats significantly."""
    letters = dict(zip((one["name"] for one in result["systems"]), _LETTERS, strict=False))
    found = []
    for test in result["tests"]:
        outcome = test["measures"].get(measure)
        if outcome is None or outcome["p"] > p:
            continue
        winner, loser = (
            (test["second"], test["first"]) if outcome["difference"] > 0 else (test["first"], test["second"])
        )
        if winner == system:
            found.append(letters[loser])
    return "".join(sorted(found))


def _legend(result: Mapping[str, Any], p: float) -> str:
    of = f"{result['queries']} queries" if "queries" in result else f"{result['items']} items"
    return (
        f"Scores times 100 of {of}; ± half of the 95 % bootstrap interval; raised letters: better than these systems, "
        f"Fisher's randomization test, p ≤ {p:g}."
    )


def _latex_safe(text: str) -> str:
    for character in r"&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text

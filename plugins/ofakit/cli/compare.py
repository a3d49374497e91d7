"""`tools/compare.py`: do two sets of predictions differ, or is it chance? With tables in Markdown and LaTeX."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from ofakit.cli._common import output_file, run_tool, tool_parser
from ofakit.cli.evaluate_predictions import Aligned, align, read_own_references, read_predictions, read_references
from ofakit.errors import UsageError

__all__ = ["add_arguments", "compare_files", "latex_table", "main", "markdown_table", "run"]

EXAMPLES = """examples:
  python tools/compare.py a.json b.json --references annotations.json
  python tools/compare.py base.jsonl scst.jsonl --references test.jsonl --latex table.tex

Predictions are COCO results JSON or JSONL with id and caption. Without --references, each line of the predictions must
contain its references. The tables come first on stdout, then one JSON object."""

TITLES = {
    "bleu1": "BLEU-1", "bleu2": "BLEU-2", "bleu3": "BLEU-3", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L",
    "cider": "CIDEr", "cider_d": "CIDEr-D", "meteor": "METEOR", "spice": "SPICE",
}  # fmt: skip
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Compare the predictions of two or more systems on the same images.", EXAMPLES)
    add_arguments(parser)
    return run_tool(parser, run, argv)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this tool takes.

    Args:
        parser: Gets the arguments.
    """
    parser.add_argument("predictions", nargs="+", metavar="FILE", help="predictions, two or more files")
    parser.add_argument("--references", metavar="FILE", help="COCO annotations JSON or JSONL with id and captions")
    parser.add_argument("--document-frequency", metavar="FILE", help="for CIDEr-D: tools/data.py document-frequency")
    parser.add_argument("--p", type=float, default=0.01, metavar="P", help="significance level (default: 0.01)")
    parser.add_argument("--rounds", type=int, default=10_000, metavar="N", help="random swaps (default: 10000)")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="resamples for intervals (default: 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of swaps and resamples (default: 0)")
    parser.add_argument("--no-java", action="store_true", help="leave out METEOR and SPICE")
    parser.add_argument("--markdown", metavar="FILE", help="also write the Markdown table to this file")
    parser.add_argument("--latex", metavar="FILE", help="also write the LaTeX table to this file")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Compare, print the tables, and return the result.

    Args:
        args: The parsed arguments.

    Raises:
        UsageError: As `compare_files`, or a table cannot be written where it is asked for.
    """
    from ofakit.files import write_text

    named = {"markdown": args.markdown, "latex": args.latex}
    targets = {kind: output_file(name, f"--{kind}") for kind, name in named.items() if name is not None}
    result = compare_files(
        [Path(name) for name in args.predictions],
        Path(args.references) if args.references else None,
        Path(args.document_frequency) if args.document_frequency else None,
        rounds=args.rounds, bootstrap=args.bootstrap, seed=args.seed, java=not args.no_java,
    )  # fmt: skip
    tables = {"markdown": markdown_table(result, args.p), "latex": latex_table(result, args.p)}
    for kind, table in tables.items():
        print(f"{table}\n")
        if kind in targets:
            write_text(targets[kind], f"{table}\n")
    return {**result, **tables}


def compare_files(
    predictions: Sequence[Path],
    references: Path | None,
    document_frequency: Path | None = None,
    rounds: int = 10_000,
    bootstrap: int = 1000,
    seed: int = 0,
    java: bool = True,
) -> dict[str, Any]:
    """Score systems on the same items and test every pair of them.

    Args:
        predictions: A file for each system.
        references: COCO annotations or JSON lines; None takes the references in the lines of the first file.
        document_frequency: What `tools/data.py document-frequency` wrote.
        rounds: Random swaps of each test.
        bootstrap: Resamples for the 95 % confidence intervals.
        seed: Of both.
        java: Whether to compute METEOR and SPICE.

    Returns:
        `systems`: for each its `name`, `file`, `scores` and `intervals`. `tests`: for each pair `first` and `second`
        (names) and, for each measure, `difference` (second - first) and `p`. `items`, `skipped` and `missing`.

    Raises:
        UsageError: There are fewer than two files, one is given twice or cannot be read, or they are not of the same
            images.
    """
    from ofakit.scores import DocumentFrequency, bootstrap_intervals, measure, paired_tests

    if len(predictions) < 2:
        raise UsageError(f"expected two prediction files or more, found {len(predictions)}")
    again = next((path for path in predictions if predictions.count(path) > 1), None)
    if again is not None:
        raise UsageError(f"{again} is given twice; name the predictions of each system once")
    frequency = DocumentFrequency.load(document_frequency) if document_frequency else None
    aligned = _align_all(predictions, references)
    measured = [measure(one.candidates, one.references, frequency, java) for one in aligned]
    names = _short_names(predictions)
    systems = []
    for name, path, (measures, _) in zip(names, predictions, measured, strict=True):
        intervals = {key: list(found) for key, found in bootstrap_intervals(measures, bootstrap, seed=seed).items()}
        scores = {key: found.corpus for key, found in measures.items()}
        systems.append({"name": name, "file": str(path), "scores": scores, "intervals": intervals})
    tests = []
    for (first, (ours, _)), (second, (theirs, _)) in combinations(zip(names, measured, strict=True), 2):
        outcomes = {key: found._asdict() for key, found in paired_tests(ours, theirs, rounds, seed).items()}
        tests.append({"first": first, "second": second, "measures": outcomes})
    missing = {key: reason for _, missed in measured for key, reason in missed.items()}
    skipped = {name: one.skipped for name, one in zip(names, aligned, strict=True)}
    return {"systems": systems, "tests": tests, "items": len(aligned[0].ids), "skipped": skipped, "missing": missing}


def _align_all(predictions: Sequence[Path], references: Path | None) -> list[Aligned]:
    """Each system's captions beside the references; only items that every system can be scored on, in one order."""
    found = {path: read_predictions(path) for path in predictions}
    first = predictions[0]
    for path, captions in found.items():
        different = set(captions) ^ set(found[first])
        if different:
            raise UsageError(
                f"{first} and {path}: expected captions of the same images; {len(different)} ids are in only one of "
                f"them, such as {min(different)!r}"
            )
    texts = read_references(references) if references else read_own_references(first)
    where = str(references or first)
    aligned = [align({name: found[path][name] for name in found[first]}, texts, str(path), where) for path in found]
    common = set(aligned[0].ids).intersection(*(one.ids for one in aligned[1:]))
    if not common:
        raise UsageError("no image has a caption of every system that can be scored")
    return [_only(one, common) for one in aligned]


def _only(aligned: Aligned, ids: set[str]) -> Aligned:
    kept = [i for i, name in enumerate(aligned.ids) if name in ids]
    return Aligned(
        [aligned.ids[i] for i in kept],
        [aligned.candidates[i] for i in kept],
        [aligned.references[i] for i in kept],
        aligned.skipped,
    )


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Names of systems from their files: what differs in the paths, without the extension where that is enough.

    >>> _short_names([Path("runs/a/test.json"), Path("runs/b/test.json")])
    ['a/test', 'b/test']
    >>> _short_names([Path("x/a.json"), Path("b.json")])
    ['a', 'b']
    """
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join([*path.parts[-length:-1], path.stem]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path.stem} ({number})" for number, path in enumerate(paths, start=1)]


def markdown_table(result: Mapping[str, Any], p: float = 0.01) -> str:
    """Scores times 100, half the confidence interval, and the letters of the systems each one beats.

    Args:
        result: What `compare_files` gave.
        p: A difference is marked when its p is at most this.
    """
    measures = _common_measures(result)
    lines = ["| | system | " + " | ".join(TITLES[name] for name in measures) + " |"]
    lines.append("|---|---|" + "---:|" * len(measures))
    for letter, system in zip(_LETTERS, result["systems"], strict=False):
        cells = [
            f"{_scaled(system, name)} ±{_margin(system, name)}{_raised(beaten, '<sup>', '</sup>')}"
            for name in measures
            for beaten in [_beaten(result, system["name"], name, p)]
        ]
        lines.append(f"| {letter} | {system['name']} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _legend(result, p)])


def latex_table(result: Mapping[str, Any], p: float = 0.01) -> str:
    """The same as a LaTeX table (package booktabs).

    Args:
        result: What `compare_files` gave.
        p: A difference is marked when its p is at most this.
    """
    measures = _common_measures(result)
    lines = [rf"\begin{{tabular}}{{ll{'r' * len(measures)}}}", r"\toprule"]
    lines.append(" & ".join(["", "system", *(TITLES[name] for name in measures)]) + r" \\")
    lines.append(r"\midrule")
    for letter, system in zip(_LETTERS, result["systems"], strict=False):
        cells = [
            f"{_scaled(system, name)}{_raised(_beaten(result, system['name'], name, p), '$^{', '}$')}"
            for name in measures
        ]
        lines.append(" & ".join([letter, _latex_safe(system["name"]), *cells]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", f"% {_legend(result, p)}"])


def _common_measures(result: Mapping[str, Any]) -> list[str]:
    return [name for name in TITLES if all(name in system["scores"] for system in result["systems"])]


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
    return (
        f"Scores times 100 of {result['items']} items; ± half of the 95 % bootstrap interval; raised letters: better "
        f"than these systems, Fisher's randomization test, p ≤ {p:g}."
    )


def _latex_safe(text: str) -> str:
    for character in r"&%$#_{}":
        text = text.replace(character, f"\\{character}")
    return text

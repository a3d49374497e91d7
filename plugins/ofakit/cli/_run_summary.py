"""How a run ended, for people: a table of scores, the files to look at, and commands to run next."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ofakit.cli._common import program
from ofakit.hub.bundle import CAPTIONING
from ofakit.json_text import from_json
from ofakit.scores.score_titles import title
from ofakit.trainers.run_directory import best_model

__all__ = ["print_summary", "score_lines", "summary_lines"]

RETRIEVAL = "multimodal-retrieval"
NO_SCORES = ("steps", "seconds", "captions", "without_relevant")
DETAILS = (
    "bleu1", "bleu2", "bleu3", "style_accuracy_of_people", "distinct", "distinct1", "distinct2", "vocabulary",
    "cross_cider", "self_cider", "most_frequent",
)  # fmt: skip
"""Scores that a table on the terminal leaves to `eval/<split>.json`."""

Scores = Mapping[str, float]


def print_summary(result: Mapping[str, Any], task: str, trained: bool = True) -> None:
    """Print the lines to stderr.

    Args:
        result: As the last line of stdout has it.
        task: ModelScope's name of the task.
        trained: Whether there was a training, after which there is more to do.
    """
    print("\n".join(["", *summary_lines(result, task, terminal_width(), trained)]), file=sys.stderr)


def terminal_width() -> int:
    """Columns of the terminal that stderr is; 80 where it is none."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


def summary_lines(result: Mapping[str, Any], task: str, width: int = 80, trained: bool = True) -> Iterator[str]:
    """The lines.

    Args:
        result: `work_dir`, `split`, scores, and `stages` where there were some.
        task: ModelScope's name of the task.
        width: Columns of the terminal; no table is wider.
        trained: As in `print_summary`.
    """
    stages = {str(stage["name"]): _parts(stage).get("", {}) for stage in result.get("stages", ())}
    parts = _parts(result)
    if len(stages) > 1:
        yield from _table(f"{result['split']}, by stage", stages, width)
    if parts and (len(stages) < 2 or len(parts) > 1):
        yield from score_lines(result["split"], result, width)
    yield from _next(result, task) if trained else ()


def score_lines(split: Any, scores: Mapping[str, Any], width: int = 80) -> Iterator[str]:
    """The table of an evaluation: a line a score, a column each for the whole and its parts, as far as they fit.

    Args:
        split: What was evaluated.
        scores: With those of parts under `<part>/<score>` or in an object of their own.
        width: Columns of the terminal.
    """
    parts = {name or "all": found for name, found in _parts(scores).items()}
    if parts:
        yield from _table(str(split), parts, width)


def _parts(scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The scores of the whole, under no name, and of each style or searcher."""
    found: dict[str, dict[str, float]] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            found[name] = {inner: float(v) for inner, v in value.items() if _is_score(inner, v)}
        elif _is_score(name.rpartition("/")[2], value):
            part, _, own = name.rpartition("/")
            found.setdefault(part, {})[own] = float(value)
    return {name: own for name, own in found.items() if own}


def _is_score(name: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and name not in NO_SCORES and name not in DETAILS


def _table(heading: str, columns: Mapping[str, Scores], width: int) -> Iterator[str]:
    """The columns side by side; where not all have room, the first alone."""
    rows = list(dict.fromkeys(name for scores in columns.values() for name in scores))
    first = max(len(heading), *(len(title(name)) for name in rows))
    cells = {name: [_cell(scores.get(row)) for row in rows] for name, scores in columns.items()}
    wide = {name: max(len(name), *map(len, column)) for name, column in cells.items()}
    names = list(columns)
    fits = first + sum(2 + wide[name] for name in names) <= width
    shown = names if fits else names[:1]
    yield "".join([heading.ljust(first), *(f"  {name:>{wide[name]}}" for name in shown)])
    for place, row in enumerate(rows):
        yield "".join([title(row).ljust(first), *(f"  {cells[name][place]:>{wide[name]}}" for name in shown)])
    if not fits:
        yield f"({len(names) - 1} more columns, such as {names[1]}, do not fit here)"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _next(result: Mapping[str, Any], task: str) -> Iterator[str]:
    """What there is to look at, and what to run."""
    folder = Path(result["work_dir"])
    model = best_model(folder)
    seen = [
        ("model", model),
        ("evaluation", folder / "eval" / f"{result['split']}.html"),
        ("log", folder / "train.log"),
    ]
    seen = [(name, path) for name, path in seen if path is not None and path.exists()]
    if seen:
        yield from ["", "look at", *(f"  {name:10}  {path}" for name, path in seen)]
    yield from ["", "run next"]
    yield f"  {_command('report', str(folder), '--out', str(folder / 'report.html'))}"
    if model is not None:
        for words in _uses(task, folder, model, result["split"]):
            yield f"  {_command(*words)}"
        yield f"  {_command('upload', '--model', str(model), '--id', 'OWNER/NAME', '--dry-run')}"


def _uses(task: str, folder: Path, model: Path, split: Any) -> Iterator[Sequence[str]]:
    """Commands that use a model of a task."""
    conf = str(folder / "conf.json")
    if task == CAPTIONING:
        image = _an_image(folder / "eval" / f"{split}.predictions.jsonl") or "FILE"
        yield "caption", "--model", str(model), "--image", image, "--all-styles"
    if task == RETRIEVAL:
        yield "search", "--conf", conf, "--set", f"run={folder / 'search.trec'}"
    yield "evaluate", "--conf", conf, "--split", "val" if split == "test" else "test"


def _an_image(predictions: Path) -> str | None:
    """The first image of an evaluation; None if it is not a file."""
    if not predictions.is_file():
        return None
    with predictions.open("rb") as file:
        line = file.readline()
    image = from_json(line).get("image") if line.strip() else None
    return image if isinstance(image, str) and Path(image).is_file() else None


def _command(verb: str, *words: str) -> str:
    """A command line that can be copied, called as the tool that runs was called."""
    return f"{_called(verb)} {' '.join(map(shlex.quote, words))}"


def _called(verb: str) -> str:
    name = program.get()
    if name is not None:
        return f"{name.rpartition(' ')[0]} {verb}"
    script = Path(sys.argv[0]).with_name(f"{verb}.py")
    is_script = Path(sys.argv[0]).suffix == ".py" and script.is_file()
    return f"python {shlex.quote(str(script))}" if is_script else f"ofakit {verb}"

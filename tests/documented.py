"""What README and docs show: commands of the shell and blocks of Python, taken out of the pages."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    page
    for name in ("README*.md", "CONTRIBUTING.md", "docs/**/*.md")
    for page in sorted(ROOT.glob(name))
    if page.is_file()
]
PROGRAMS = ("ofakit", "python", "python3", "torchrun", "make", "sbatch", "modelscope", "pip")
"""The first words of the commands that are ours to check; `tools/….sh` besides."""


class Block(NamedTuple):
    """Lines that stand by themselves on a page, without what indents them."""

    page: str
    line: int
    language: str
    text: str


class Call(NamedTuple):
    """One program of a command line with its arguments, without pipes and redirections."""

    page: str
    line: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return shlex.join(self.words).replace("'", "")


def text_of(page: Path) -> str:
    """The text of a page. A page on moving has the other project on the left of its tables, and only ours is kept."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^\|.*\|(?=[^|\n]+\|$)", "|", text, flags=re.M) if page.parent.name == "moving" else text


def blocks(page: Path) -> Iterator[Block]:
    """The fenced and indented blocks of a page; a fence may be indented, as in a list or a tab."""
    lines = page.read_text(encoding="utf-8").splitlines()
    name, at = str(page.relative_to(ROOT)), 0
    while at < len(lines):
        fence = re.match(r" *```+ *(\w*)", lines[at])
        first = at
        if fence:
            at += 1
            while at < len(lines) and not lines[at].lstrip().startswith("```"):
                at += 1
            yield Block(name, first + 2, fence[1], textwrap.dedent("\n".join(lines[first + 1 : at])))
        elif lines[at].startswith("    "):
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at].strip()):
                if lines[at].lstrip().startswith("```"):
                    break
                at += 1
            yield Block(name, first + 1, "", textwrap.dedent("\n".join(lines[first:at])).strip())
            continue
        at += 1


def calls(page: Path) -> Iterator[Call]:
    """Every call of one of `PROGRAMS` in the blocks of a page."""
    for block in blocks(page):
        if block.language not in ("", "sh", "bash", "shell", "console", "text"):
            continue
        rows = block.text.split("\n")
        for number, row in enumerate(rows):
            if number and rows[number - 1].endswith("\\"):
                continue
            whole = row
            for following in rows[number + 1 :]:
                if not whole.endswith("\\"):
                    break
                whole = whole[:-1] + following.strip()
            for words in calls_of_line(whole):
                yield Call(block.page, block.line + number, words)


def calls_of_line(line: str) -> Iterator[tuple[str, ...]]:
    """The calls of our programs in a line of a shell.

    >>> list(calls_of_line("pip install -e . && ofakit finetune --conf FILE 2>/dev/null | tail -n 1  # a comment"))
    [('pip', 'install', '-e', '.'), ('ofakit', 'finetune', '--conf', 'FILE')]
    >>> list(calls_of_line("HF_TOKEN=... python tools/upload.py …"))
    [('python', 'tools/upload.py')]
    >>> list(calls_of_line("configs/     one JSON an experiment")), list(calls_of_line("import ofakit"))
    ([], [])
    """
    line = re.sub(r" #.*$", "", line.removeprefix("$ "))
    line = re.sub(r" \[(--[^\]]*)\]", r" \1", line)
    parts = re.split(r"\s(?:\|\|?|&&|;)\s|\s{3,}(?=python )", line)
    for part in parts:
        part = re.sub(r"\s\d?>>?\s*\S+|\s…$|\s\.\.\.$", "", part)
        try:
            words = shlex.split(part)
        except ValueError:
            continue
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if len(words) > 1 and (words[0] in PROGRAMS or re.fullmatch(r"tools/\w+\.sh", words[0])):
            yield tuple(words)


def inline_calls(page: Path) -> Iterator[Call]:
    """The calls between backticks in the text of a page."""
    text = re.sub(r"^ *```.*?^ *```", lambda m: "\n" * m[0].count("\n"), text_of(page), flags=re.M | re.S)
    for number, line in enumerate(text.splitlines(), 1):
        for found in [] if line.startswith("    ") else re.findall(r"`([^`]+)`", line):
            for words in calls_of_line(f"python {found}" if re.match(r"tools/\w+\.py", found) else found):
                yield Call(str(page.relative_to(ROOT)), number, words)


def tool_of(words: tuple[str, ...]) -> tuple[str, list[str]] | None:
    """The verb of a call of ours and its arguments; None where another program is called.

    >>> tool_of(("torchrun", "--nproc_per_node", "2", "-m", "ofakit", "finetune", "--conf", "FILE"))
    ('finetune', ['--conf', 'FILE'])
    >>> tool_of(("sbatch", "--gpus-per-node=1", "tools/slurm/finetune.sbatch", "--conf", "FILE"))
    ('finetune', ['--conf', 'FILE'])
    >>> tool_of(("tools/encode_slurm.sh", "256", "base.index", "--encoder", "DIR"))
    ('encode', ['--out', 'base.index', '--encoder', 'DIR'])
    >>> tool_of(("python", "benchmarks/scores.py"))
    """
    rest = list(words)
    if rest[0] == "tools/encode_slurm.sh":
        return "encode", ["--out", rest[2], *rest[3:]]
    if rest[0] in ("torchrun", "sbatch", "python", "python3", "modelscope"):
        for place, word in enumerate(rest[1:], 1):
            script = re.fullmatch(r"tools/(?:slurm/)?(\w+)\.(?:py|sbatch)", word)
            if script:
                return script[1].replace("_", "-"), rest[place + 1 :]
            if word == "ofakit" and place + 1 < len(rest) and (rest[place - 1] == "-m" or rest[0] == "modelscope"):
                return rest[place + 1], rest[place + 2 :]
        return None
    return (rest[1], rest[2:]) if rest[0] == "ofakit" else None


def python_blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that are Python: fenced as such, or indented and opening with an import or a decorator."""
    for block in blocks(page):
        imports = re.search(r"^(?:from [\w.]+ import |import \w)", block.text, flags=re.M)
        if block.language == "python" or (not block.language and imports):
            parts = block.text.split("\n\n")
            yield block._replace(text="\n\n".join(part for part in parts if not list(calls_of_line(part))))


def imported(code: str) -> Iterator[tuple[str, str | None]]:
    """Module and name of everything that a piece of code imports from ofakit.

    >>> list(imported("import ofakit.modelscope\\nfrom ofakit.scores import bleu, cider"))
    [('ofakit.modelscope', None), ('ofakit.scores', 'bleu'), ('ofakit.scores', 'cider')]
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] == "ofakit")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ofakit":
            yield from ((str(node.module), alias.name) for alias in node.names)

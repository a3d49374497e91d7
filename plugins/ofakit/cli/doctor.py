"""`ofakit doctor`: show what is installed, which devices can be used, and what each feature still needs."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ofakit import __version__
from ofakit.cli import _installation as installation
from ofakit.cli._common import run_tool, tool_parser
from ofakit.cli._probe import run_steps

__all__ = ["describe", "examine", "main"]

EPILOG = """The report goes to stderr. The last line of stdout is the same report as one JSON object, for bug
reports. Exit codes: 0 if every core package can be imported, 1 if one cannot."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv: The arguments; None takes those of the process.

    Returns:
        The exit code.
    """
    parser = tool_parser("Check this installation: versions, devices, and what each feature still needs.", EPILOG)
    parser.add_argument("--work-dir", metavar="DIR", default="work_dir", help="folder for runs; default: work_dir")
    report: dict[str, Any] = {}

    def run(args: argparse.Namespace) -> dict[str, Any]:
        report.update(examine(Path(args.work_dir)))
        print(describe(report), file=sys.stderr)
        return report

    return run_tool(parser, run, argv) or int(not report["works"])


def examine(work_dir: Path) -> dict[str, Any]:
    """Look at everything. Takes as long as importing the core packages does.

    Args:
        work_dir: Where runs go.

    Returns:
        What the last line of stdout holds. `packages` are versions by name, None for what is not installed; `missing`
        are objects with `for`, `missing` and `install`; `problems` are sentences; `works` says whether every core
        package can be imported, ofakit's own files among them.
    """
    imports = _try_imports()
    cpu = installation.processor()
    disk, disk_problems = installation.disk(work_dir)
    variables, variable_problems = installation.environment(os.environ, cpu["cores"])
    java, java_rows = installation.java()
    jq, jq_rows = installation.jq()
    optional, rows = installation.optional_packages()
    old = installation.older_than_required()
    return {
        "ofakit": __version__,
        "location": str(Path(__file__).parents[1]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "works": not imports.failures,
        "packages": {name: installation.version_of(name) for name in installation.CORE} | optional,
        "devices": {"cpu": cpu | {"threads": imports.threads}, "cuda": imports.gpus, "mps": imports.mps},
        "modelscope": imports.names,
        "java": java,
        "jq": jq,
        "disk": disk,
        "environment": variables,
        "missing": [row.as_json() for row in (*java_rows, *jq_rows, *rows)],
        "problems": [*imports.failures, *old, *imports.problems, *disk_problems, *variable_problems],
    }


class Imports(NamedTuple):
    """What comes to light by importing the core packages.

    Attributes:
        failures: Sentences on what cannot be imported.
        threads: Of PyTorch; None without it.
        gpus: Those of NVIDIA or AMD that PyTorch can use.
        mps: Whether it can use that of a Mac.
        problems: What keeps it from using one.
        names: Of OFA in ModelScope, by registry.
    """

    failures: list[str]
    threads: int | None
    gpus: list[dict[str, Any]]
    mps: bool
    problems: list[str]
    names: dict[str, list[str]]


def _try_imports() -> Imports:
    """Import the core packages in another process, which one of them may end, and ask them about this machine."""
    steps: dict[str, Callable[[], Any]] = {name: partial(installation.import_error, name) for name in installation.CORE}
    steps |= {"threads": installation.torch_threads, "CUDA": installation.cuda_devices, "mps": installation.has_mps}
    steps["ofakit.modelscope"] = installation.modelscope_names
    results, end = run_steps(steps)
    failures = [results[name] for name in installation.CORE if results.get(name) is not None]
    if end is not None:
        fatal = next(name for name in steps if name not in results)
        failures.append(f"{fatal} makes Python exit with {end}; nothing after it was tried")
    # Without PyTorch or ModelScope these two only repeat why.
    gpus, problems = results.get("CUDA", ([], [])) if results.get("torch") is None else ([], [])
    names, name_failures = results.get("ofakit.modelscope", ({}, [])) if not failures else ({}, [])
    mps = bool(results.get("mps"))
    return Imports([*failures, *name_failures], results.get("threads"), gpus, mps, problems, names)


def describe(report: Mapping[str, Any]) -> str:
    """The report as text for people.

    Args:
        report: What `examine` returns.
    """
    disk, java = report["disk"], report["java"]
    title = f"ofakit {report['ofakit']} in {report['location']}, Python {report['python']}, {report['platform']}"
    sections = {
        "Packages": _columns((name, version or "-") for name, version in report["packages"].items()),
        "Devices": _columns(_device_rows(report["devices"])),
        "Programs": _columns([("java", java["version"] or "-"), ("jq", report["jq"] or "-")]),
        "Disk": [] if disk["free_gib"] is None else [f"{disk['free_gib']} GiB free for {disk['work_dir']}"],
        "Names in ModelScope": _columns(
            (registry.lower(), ", ".join(names)) for registry, names in report["modelscope"].items() if names
        ),
        "Environment": [f"{name}={value}" for name, value in report["environment"].items()],
        "Missing": _columns((f"for {row['for']}", row["missing"], row["install"]) for row in report["missing"]),
        "Problems": report["problems"],
    }
    shown = ["\n  ".join((heading, *lines)) for heading, lines in sections.items() if lines]
    verdict = "ofakit can run here" if report["works"] else "ofakit cannot run here"
    if report["problems"]:
        verdict += "; see the problems above"
    return "\n\n".join([title, *shown, f"{verdict}."])


def _device_rows(devices: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A row for the processor and one for each GPU."""
    cpu = devices["cpu"]
    threads = [] if cpu["threads"] is None else [f"PyTorch uses {cpu['threads']} of them"]
    bf16 = f"bf16 with {cpu['bf16']}" if cpu["bf16"] else "no bf16 instructions"
    facts = [f"cores {cpu['cores']}", *threads, f"{cpu['memory_gib']} GiB", bf16]
    rows = [("cpu", f"{cpu['model']}: {', '.join(facts)}")]
    for index, gpu in enumerate(devices["cuda"]):
        facts = [f"{gpu['memory_gib']} GiB", "bf16" if gpu["bf16"] else "no bf16"]
        rows.append((f"cuda:{index}", f"{gpu['name']}: {', '.join(facts)}"))
    return [*rows, ("mps", "the GPU of this Mac")] if devices["mps"] else rows


def _columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of cells, padded to columns."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]

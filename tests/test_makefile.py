"""`make bench` runs benchmarks that need no more than it gives them; other targets name scripts that are there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("given", [[], ["STOCK_PYTHON=stock"]], ids=["alone", "stock"])
def test_bench_gives_every_script_the_arguments_that_it_requires(given, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/log\n')
    python.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["make", "bench", *given], cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
    runs = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert any("--stock-python" in run for run in runs) == bool(given)
    for script, *arguments in runs:
        source = (ROOT / script).read_text(encoding="utf-8")
        required = [line for line in source.splitlines() if "add_argument(" in line and "required=True" in line]
        assert "__main__" in source and "_worker" not in script
        assert [line for line in required if not any(f'"{name}"' in line for name in arguments)] == []


@pytest.mark.parametrize("target", ["wheel", "matrix"])
def test_a_script_that_a_target_runs_is_sound_and_can_be_run(target):
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    script = ROOT / said.strip()
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_matrix_runs_tests_that_are_there_on_every_python():
    lines = (ROOT / ".ci" / "quick_tests").read_text(encoding="utf-8").splitlines()
    named = [line for line in lines if not line.startswith("#")]
    assert len(named) > 10 and [name for name in named if not (ROOT / name).exists()] == []
    supported = re.findall(r":: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"PYTHONS:-{' '.join(supported)}}}" in (ROOT / ".ci" / "matrix").read_text(encoding="utf-8")

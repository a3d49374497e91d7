"""Steps in another process: their results come back, whatever ends that process is told, and ours lives on."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

TAKE = """
import json, os, signal, sys
from ofakit.cli._probe import run_steps

def say():
    print("out loud")
    return {"of": [1, 2]}

def load():
    import decimal
    return "decimal" in sys.modules

steps = {"first": say, "second": load, "third": lambda: %s, "last": lambda: None}
results, end = run_steps(steps)
print(json.dumps([results, end, "decimal" in sys.modules]))
"""


def taken(third):
    """Results and end of four steps of which the third is this expression; in a Python that runs nothing else."""
    done = subprocess.run([sys.executable, "-c", TAKE % third], capture_output=True, text=True, check=True)
    results, end, imported_here = json.loads(done.stdout)
    assert "out loud" in done.stderr and not imported_here
    assert results["first"] == {"of": [1, 2]} and results["second"] is True
    return results, end


def test_results_come_in_order_and_nothing_else_does():
    results, end = taken("'third'")
    assert end is None and list(results) == ["first", "second", "third", "last"] and results["last"] is None


@pytest.mark.parametrize(
    ("third", "end"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal SIGSEGV"),
        ("os.abort()", "signal SIGABRT"),
        ("os._exit(3)", "exit code 3"),
        ("os._exit(0)", "exit code 0"),
    ],
)
def test_an_end_is_told_with_the_step_it_came_in(third, end):
    results, how = taken(third)
    assert how == end and list(results) == ["first", "second"]

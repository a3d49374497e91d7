"""Scripts on the device of `pretended_device`, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from torch.utils import backend_registration

ROOT = Path(__file__).resolve().parents[1]

NEEDS_DEVICE = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch has no devices that are written in Python",
)

END = """
import os, sys
sys.stdout.flush()
os._exit(0)
"""
"""Autograd's thread for a device written in Python may hold Python objects while the interpreter ends, and abort it."""


def run_script(script: str, argument: Any = None) -> Any:
    """The last line that a script prints, as JSON.

    Args:
        script: Its text; imports `tests.pretended_device`.
        argument: Given to it as JSON; None: nothing is given.
    """
    given = [] if argument is None else [json.dumps(argument)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script + END, *given]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    return json.loads(run.stdout.splitlines()[-1])

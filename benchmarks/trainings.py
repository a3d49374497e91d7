"""Trainings of a benchmark: each is one command with a directory of its own, and is not run again once it has ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "ended"]

ROOT = Path(__file__).resolve().parents[1]


def ended(tool: Sequence[str], config: Path, work_dir: Path, keys: Mapping[str, Any], sets: Sequence[str] = ()) -> dict:
    """What a command's last line said, now or when it was run before.

    Args:
        tool: A script in `tools` and arguments of its own.
        config: The configuration.
        work_dir: Where it writes, and where its last line is kept as `result.json`.
        keys: Values of the configuration, by key.
        sets: More of them as `key=value`; they win.

    Raises:
        SystemExit: It failed; with the end of what it said.
    """
    result = work_dir / "result.json"
    if not result.exists():
        values = [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in keys.items()]
        script, *arguments = tool
        command = [sys.executable, str(ROOT / "tools" / script), *arguments, "--conf", str(config)]
        command += [part for value in [f"work_dir={work_dir}", *values, *sets] for part in ("--set", value)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
        if done.returncode:
            raise SystemExit(f"{work_dir.name} failed:\n{done.stderr[-3000:]}")
        work_dir.mkdir(parents=True, exist_ok=True)
        result.write_text(done.stdout.strip().splitlines()[-1], encoding="utf-8")
    print(f"{work_dir.name}: {result.read_text(encoding='utf-8')}", file=sys.stderr, flush=True)
    return json.loads(result.read_text(encoding="utf-8"))

"""How long imports and `--help` take, beside `import torch` and `import modelscope` in the same run.

python benchmarks/startup.py [--repeats 7]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1] / "tools"


def seconds(command: list[str]) -> float:
    """Wall time of a fresh process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    commands = {
        name: [sys.executable, "-c", f"import {name}"]
        for name in ("torch", "modelscope", "ofakit", "ofakit.modelscope")
    }
    commands |= {f"{tool.name} --help": [sys.executable, str(tool), "--help"] for tool in sorted(TOOLS.glob("*.py"))}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:28s} {median:6.2f} s   {median / medians['torch']:5.2f} x import torch")
    slowest_help = max(median for name, median in medians.items() if name.endswith("--help"))
    result = {
        "ofakit_over_torch": medians["ofakit"] / medians["torch"],
        "slowest_help_over_torch": slowest_help / medians["torch"],
        "ofakit_modelscope_minus_modelscope_s": medians["ofakit.modelscope"] - medians["modelscope"],
    }
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))


if __name__ == "__main__":
    main()

"""Kill a training run and a sweep with SIGKILL at chosen file operations, start them again, and compare what is left.

    python benchmarks/kill_operations.py [--kills 200] [--seed 0]

Four of five kills are of a training run, which fills an image store, evaluates, keeps its best model and snapshots; the
others of a sweep. Each kill comes ahead of an operation that the seed chooses: a file opened to be written, written,
resized, synced, renamed or removed, or a folder made, in each part of what is written. The last line is JSON: of both,
`kills`, `at` which operations, `unreadable` (must be 0), how often the command came to its `end`, and how often all
weights, the best model, metrics, images and the result were then `bit_equal` to those of an undisturbed run. It needs
Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.killed_commands import SWEEP, TRAINING, kill_often  # noqa: E402


def main() -> None:
    """Kill both and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args()
    found = {}
    for command, kills in ((TRAINING, args.kills - args.kills // 5), (SWEEP, args.kills // 5)):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            counts = kill_often(command, Path(folder), kills, args.seed, lambda line: print(line, file=sys.stderr))
        found[command.name] = {**counts, "seconds": round(time.perf_counter() - began, 1)}
    print(json.dumps({"kills": args.kills, "seed": args.seed, **found}))
    raise SystemExit(any(one["unreadable"] or one["bit_equal"] < one["ended"] for one in found.values()))


if __name__ == "__main__":
    main()

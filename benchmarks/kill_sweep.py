"""Kill a sweep of twelve runs with SIGKILL at random moments, start it again each time, and look at what it leaves.

    python benchmarks/kill_sweep.py [--kills 2] [--seed 0] [--work-dir DIR]

Starts `tools/sweep.py --conf configs/sweeps/quickstart.json`, kills its whole process group, and starts it again with
the same command. Prints one JSON object; `ok` must be true: results.csv has twelve rows of twelve different parameter
sets, all done, `best` is the row with the best metric, and no run that had ended was started again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "configs" / "sweeps" / "quickstart.json"
RUNS = 12


def start(work_dir: Path, log: Path) -> subprocess.Popen:
    """The sweep in a process group of its own; its stderr is added to the log."""
    command = [sys.executable, str(ROOT / "tools/sweep.py"), "--conf", str(CONF), "--set", f"work_dir={work_dir}"]
    with open(log, "ab") as stderr:
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8", start_new_session=True
        )


def rows(work_dir: Path) -> list[dict[str, str]]:
    """The rows of results.csv, none while it is not there."""
    path = work_dir / "results.csv"
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def kill_between(sweep: subprocess.Popen, work_dir: Path, first: int, last: int) -> list[dict[str, str]]:
    """Kill the sweep some seconds after `first` runs and before `last` have ended; the rows that it leaves.

    Raises:
        SystemExit: It ended by itself before that.
    """
    wanted = random.randint(first, last - 1)
    while len(rows(work_dir)) < wanted and sweep.poll() is None:
        time.sleep(0.05)
    time.sleep(random.uniform(0.5, 12))
    if sweep.poll() is not None:
        raise SystemExit(f"the sweep ended by itself with exit code {sweep.returncode} before it could be killed")
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    return rows(work_dir)


def started_runs(log: Path) -> list[tuple[int, str]]:
    """Numbers of runs that the sweep says it started, in order, each with "starts" or "goes on"."""
    found = []
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if words[1:2] == ["run"] and words[3:4] in (["starts:"], ["goes"]):
            found.append((int(words[2]), words[3].strip(":")))
    return found


def judge(work_dir: Path, result: dict, ended_before: list[set[str]], starts: list[list[tuple[int, str]]]) -> dict:
    """What must be true of a finished sweep, by name."""
    table = rows(work_dir)
    columns = [name for name in table[0] if "." in name]
    best = max(table, key=lambda row: float(row[result["metric"]]))
    again = [n for ended, session in zip(ended_before, starts, strict=True) for n, _ in session if str(n) in ended]
    return {
        "twelve_rows": len(table) == RUNS and len({row["number"] for row in table}) == RUNS,
        "twelve_parameter_sets": len({tuple(row[name] for name in columns) for row in table}) == RUNS,
        "all_done": all(row["status"] == "done" for row in table),
        "best_is_best": str(result["best"]["number"]) == best["number"] and len(result["runs"]) == RUNS,
        "no_ended_run_repeated": not again,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work-dir", type=Path, help="where the sweep works; a new folder if left out")
    args = parser.parse_args()
    random.seed(args.seed)
    folder = args.work_dir or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    ended: list[set[str]] = [set()]
    starts: list[list[tuple[int, str]]] = []
    for session in range(args.kills + 1):
        log = folder / f"session_{session}.log"
        sweep = start(folder / "sweep", log)
        if session < args.kills:
            share = (RUNS - 2) // args.kills
            left = kill_between(sweep, folder / "sweep", session * share + 1, (session + 1) * share + 1)
            ended.append({row["number"] for row in left})
            print(f"kill {session + 1}: {len(left)} runs had ended", file=sys.stderr)
        else:
            last = sweep.communicate()[0].strip().splitlines()
            if sweep.returncode:
                raise SystemExit(f"the sweep failed with exit code {sweep.returncode}; see {log}")
        starts.append(started_runs(log))
    found = judge(folder / "sweep", json.loads(last[-1]), ended, starts)
    resumed = sum(kind == "goes" for session in starts for _, kind in session)
    seconds = round(time.monotonic() - begin, 1)
    about = {"kills": args.kills, "ended_before_each_kill": [len(numbers) for numbers in ended[1:]], "resumed": resumed}
    print(json.dumps({"ok": all(found.values()), **found, **about, "seconds": seconds}))
    sys.exit(0 if all(found.values()) else 1)


if __name__ == "__main__":
    main()

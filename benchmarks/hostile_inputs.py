"""Hostile captions, file names and uploads through the report, the demo and the server, in a real browser.

    python benchmarks/hostile_inputs.py [--number 1000]

Captions that would be markup, scripts or templates; names that lead out of a folder; files that are no images, half of
one, or far too large. The last line is JSON: for each of the three what was sent, how it was answered, and what must
be 0, in the browser and outside: `scripts_run`, `foreign_requests`, `tracebacks` that a user sees, `left_the_folder`
(files made, changed or read where they should not be), and `otherwise`, everything else that went wrong. It needs the
extras `demo` and `dev`, and Chromium.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser import chromium  # noqa: E402
from tests.hostile_walks import HARM, through_demo, through_report, through_server  # noqa: E402


def main() -> None:
    """Walk through all three and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=1000, metavar="N")
    number = parser.parse_args().number
    found: dict[str, dict[str, float]] = {}
    for walk in (through_report, through_demo, through_server):
        with tempfile.TemporaryDirectory() as folder, chromium() as browser:
            begin = time.perf_counter()
            counts = walk(Path(folder), number, browser)
        name = walk.__name__.removeprefix("through_")
        found[name] = {**counts, "seconds": round(time.perf_counter() - begin, 1)}
        print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
    harm = sum(counts[name] for counts in found.values() for name in HARM)
    print(json.dumps({"number": number, "harm": harm, **found}))
    raise SystemExit(harm > 0)


if __name__ == "__main__":
    main()

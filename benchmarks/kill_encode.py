"""Kill encoding, building an index and mining with SIGKILL at random moments, and compare with undisturbed results.

    python benchmarks/kill_encode.py [--kills 100] [--what encode index mine] [--seed 0]

Each kind of work is killed that many times, at a random moment after it has begun, and started again each time; when
the work ends before, it begins anew from nothing. After every kill the directory that was there before must still load
with all checksums right, and what the work ends with must have the bytes of an undisturbed run's. Vectors come from a
generator in the place of a model, so that a start takes half a second. Prints one JSON object; `corrupt` must be 0 and
`bit_equal` true.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DIMENSION, PASSAGES, QUESTIONS = 64, 40_000, 6_000


class Passages(Sequence):
    """Passages that are made when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place):
        from ofakit.data.passage import Passage

        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(self.count))]
        number = range(self.count)[place]
        return Passage(f"passage-{number}", "word " * (1 + number * 7919 % 40))


class Drawn(NamedTuple):
    """A passage with its length."""

    seed: int
    length: int
    error: str | None = None


class DrawingEmbedder:
    """Draws the vector of a passage from the number in its id."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        self.dimension = dimension
        self.fingerprint = f"drawn-{dimension}"
        self.description = {"encoder": "drawn", "modalities": ["text"]}

    def prepare(self, items: Sequence[Any]) -> list[Drawn]:
        """Lengths in words."""
        return [Drawn(int(item.id.rpartition("-")[2]), len(item.text.split())) for item in items]

    def embed_prepared(self, prepared: Sequence[Drawn]) -> np.ndarray:
        """(n, d) float32."""
        rows = [np.random.Philox(entry.seed) for entry in prepared]
        return np.stack([np.random.Generator(row).standard_normal(self.dimension, np.float32) for row in rows])


def encode_work(folder: Path) -> None:
    """Encode into `result`."""
    from ofakit.retrieval import encode

    encode(DrawingEmbedder(), Passages(PASSAGES), folder / "result", block=512, dtype="float16")


def index_work(folder: Path) -> None:
    """Build another engine over `result`, which has one already."""
    from ofakit.config.retrieval import IndexSection
    from ofakit.retrieval import build_engine

    settings = IndexSection(engine="faiss", factory="IVF256,SQfp16", train_size=20_000)
    build_engine(folder / "result", settings)


def mine_work(folder: Path) -> None:
    """Mine negatives into `result/negatives.jsonl`."""
    from ofakit.data.knowledge_base import KnowledgeBase
    from ofakit.data.query import Query
    from ofakit.retrieval.mining import MiningSettings, NegativeMiner, mine_to_file

    base = KnowledgeBase(Passages(2000))
    queries = [Query(f"q{n}", "word ?", relevant={f"passage-{n % 2000}": 1.0}) for n in range(QUESTIONS)]
    rankings = {
        query.id: {f"passage-{(number * 37 + rank * 101) % 2000}": float(-rank) for rank in range(30)}
        for number, query in enumerate(queries)
    }
    (folder / "result").mkdir(exist_ok=True)
    miner = NegativeMiner(base, {"drawn": rankings}, MiningSettings(number=8, sampling="random", random=2))
    mine_to_file(miner, queries, folder / "result" / "negatives.jsonl", "kill_encode")


WORK: dict[str, Callable[[Path], None]] = {"encode": encode_work, "index": index_work, "mine": mine_work}


def prepare(what: str, folder: Path) -> None:
    """What is there before the work."""
    from ofakit.config.retrieval import IndexSection
    from ofakit.retrieval import build_engine, encode

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if what == "encode":
        encode(DrawingEmbedder(8), Passages(50), folder / "result")
    elif what == "index":
        encode_work(folder)
        build_engine(folder / "result", IndexSection(engine="faiss", factory="SQfp16"))


def is_corrupt(what: str, folder: Path) -> bool:
    """Whether what a reader would find is damaged."""
    from ofakit.retrieval import load_index
    from ofakit.retrieval.negatives import read_mined

    try:
        if what == "mine":
            path = folder / "result" / "negatives.jsonl"
            assert not path.exists() or len(list(read_mined(path))) == QUESTIONS
        else:
            index = load_index(folder / "result", verify=True)
            assert len(index) in (50, PASSAGES)
            index.search(np.ones((1, index.dimension)), 5)
    except Exception as error:
        print(f"{what}: {type(error).__name__}: {error}", file=sys.stderr)
        return True
    return False


def content(folder: Path) -> dict[str, bytes]:
    """Every file that is left, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed(what: str, kills: int, root: Path) -> dict[str, Any]:
    """Kill one kind of work again and again."""
    command = [sys.executable, __file__, "--work", what, "--folder"]
    prepare(what, root / "whole")
    began = time.perf_counter()
    subprocess.run([*command, str(root / "whole")], check=True)
    whole, seconds = content(root / "whole"), time.perf_counter() - began
    done, corrupt, finished, equal = 0, 0, 0, True
    prepare(what, root / "killed")
    while done < kills or not finished:
        run = subprocess.Popen([*command, str(root / "killed")])
        try:
            run.wait(random.uniform(0.2, max(0.6, 0.8 * seconds)) if done < kills else None)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            done += 1
            corrupt += is_corrupt(what, root / "killed")
            continue
        assert run.returncode == 0, f"{what} ended with {run.returncode}"
        finished += 1
        equal &= content(root / "killed") == whole
        print(f"{what}: {done} kills, ended {finished} times, equal: {equal}", file=sys.stderr)
        if done < kills:
            prepare(what, root / "killed")
    return {"kills": done, "ended": finished, "corrupt": corrupt, "bit_equal": equal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--what", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        WORK[args.work](args.folder)
        return
    random.seed(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for what in args.what:
            (Path(folder) / what).mkdir()
            found[what] = killed(what, args.kills, Path(folder) / what)
    print(json.dumps(found))
    if any(one["corrupt"] or not one["bit_equal"] for one in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

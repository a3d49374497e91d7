"""A large base of random vectors: encoded, indexed and searched, with the peak of memory of each; and raw FAISS.

    python benchmarks/index_search.py [--vectors 1000000] [--dimension 384] [--factory SQfp16 IVF1024,SQfp16]
                                      [--queries 200] [--rounds 5] [--threads T] [--require-overhead 1.1]

Every stage is a process of its own, whose peak is what the kernel counts as resident, mapped files included. Encoding
is the real one, from passages to the index directory, with vectors from a generator in the place of a model. Search is
timed against FAISS itself on the same index file, opened by `faiss.read_index`: the same queries, in turn first and
second, ours with its checks and the ids of all hits; the overhead is the median over rounds of the ratio. Time of the
processor is given too, since the other work of a machine disturbs it less than the time on the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Numbered(Sequence):
    """Passages that are made when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place):
        from ofakit.data.passage import Passage

        numbers = range(*place.indices(self.count))
        return [Passage(f"passage-{number}", "random") for number in numbers]


class Drawn(NamedTuple):
    """A passage with its length."""

    length: int = 1
    error: str | None = None


class DrawingEmbedder:
    """Draws vectors of length 1."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.fingerprint = f"drawn-{dimension}"
        self.description = {"encoder": "drawn", "modalities": ["text"]}
        self.generator = np.random.default_rng(0)

    def prepare(self, items: Sequence[Any]) -> list[Drawn]:
        """Nothing is read."""
        return [Drawn()] * len(items)

    def embed_prepared(self, prepared: Sequence[Drawn]) -> np.ndarray:
        """(n, d) float32."""
        rows = self.generator.standard_normal((len(prepared), self.dimension), np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def encode_stage(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Passages to an index directory."""
    from ofakit.retrieval import encode

    batches = {"max_tokens": 4096, "max_items": 4096}
    done = encode(DrawingEmbedder(args.dimension), Numbered(args.vectors), folder, dtype="float16", **batches)
    return {"vectors": done.count, "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())}


def build_stage(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """An engine over the directory."""
    from ofakit.config.retrieval import IndexSection
    from ofakit.retrieval import build_engine

    build_engine(folder, IndexSection(engine="faiss", factory=args.factory[0], train_size=args.train_size))
    return {"bytes": sum(path.stat().st_size for path in folder.glob("engine-*/*"))}


def queries_of(args: argparse.Namespace) -> np.ndarray:
    """(q, d) float32."""
    return np.random.default_rng(1).standard_normal((args.queries, args.dimension)).astype(np.float32)


def search_stage(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The engine, or exact search where there is none."""
    from ofakit.retrieval import load_index

    index, queries = load_index(folder), queries_of(args)
    index.search(queries[:1], args.k)
    began = time.perf_counter()
    index.search(queries, args.k)
    return {"queries_per_second": round(args.queries / (time.perf_counter() - began), 1)}


def overhead_stage(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Ours against FAISS itself, in turn."""
    import faiss
    from ofakit.retrieval import load_index

    faiss.omp_set_num_threads(args.threads)
    index, queries = load_index(folder), queries_of(args)
    raw = faiss.read_index(str(folder / index.record.engine.folder / "faiss.index"))
    if "IVF" in index.settings.factory:
        faiss.extract_index_ivf(raw).nprobe = index.settings.nprobe
    runs: dict[str, Callable[[], Any]] = {
        "ours": lambda: index.search(queries, args.k), "raw": lambda: raw.search(queries, args.k),
    }  # fmt: skip
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    found = {name: run() for name, run in runs.items()}
    assert np.array_equal(found["ours"][0], found["raw"][0]), "the scores differ"
    for number in range(args.rounds):
        for name in sorted(runs, reverse=bool(number % 2)):
            clock, processor = time.perf_counter(), time.process_time()
            runs[name]()
            times[name].append((time.perf_counter() - clock, time.process_time() - processor))
    ratios = [
        round(statistics.median(a[kind] / b[kind] for a, b in zip(times["ours"], times["raw"], strict=True)), 3)
        for kind in (0, 1)
    ]
    return {"overhead": ratios[0], "processor_overhead": ratios[1], "raw_seconds": round(times["raw"][-1][0], 3)}


STAGES = {"encode": encode_stage, "build": build_stage, "search": search_stage, "overhead": overhead_stage}


def stage(name: str, folder: Path, args: argparse.Namespace, factory: str = "") -> dict[str, Any]:
    """Run a stage in a process of its own."""
    own = ["--vectors", args.vectors, "--dimension", args.dimension, "--queries", args.queries, "--k", args.k]
    own += ["--rounds", args.rounds, "--threads", args.threads, "--train-size", args.train_size]
    command = [sys.executable, __file__, "--stage", name, "--folder", folder, *own, "--factory", factory or "Flat"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    done = subprocess.run(
        [str(word) for word in command], env=environment, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    )
    found = json.loads(done.stdout.splitlines()[-1])
    print(f"{name} {factory}: {found}", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--factory", nargs="+", default=["SQfp16", "IVF1024,SQfp16"])
    parser.add_argument("--train-size", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--require-overhead", type=float, help="exit with 1 where ours takes this many times as long")
    parser.add_argument("--require-peak", type=float, help="exit with 1 where a stage needs more GiB")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        began = time.perf_counter()
        found = STAGES[args.stage](args.folder, args)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({**found, "seconds": round(time.perf_counter() - began, 1), "peak_gib": round(peak, 3)}))
        return
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        found = {"encode": stage("encode", index, args), "exact search": stage("search", index, args)}
        for factory in args.factory:
            found |= {
                f"{factory} {name}": stage(name, index, args, factory) for name in ("build", "search", "overhead")
            }
    print(json.dumps(found))
    overhead = max(one["processor_overhead"] for one in found.values() if "overhead" in one)
    peak = max(one["peak_gib"] for one in found.values() if "overhead" not in one)
    if (args.require_overhead or overhead) < overhead or (args.require_peak or peak) < peak:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""`encode` beside sentence-transformers on texts of mixed length: the same weights, the same threads, in one run.

    python benchmarks/encode.py --model DIR [--texts N] [--rounds R] [--threads T] [--require RATIO]

DIR is a sentence-transformers directory, such as all-MiniLM-L6-v2. Texts are the passages of flag_kb, Cranfield's
abstracts, captions of Flickr8k and the facts of FVQA, mixed and shuffled, under $OFAKIT_SHARED (or `shared` beside the
checkout). A round times both, in turn first and second: ours from items to a finished index directory, theirs
`SentenceTransformer.encode` with its defaults, which gives an array in memory. The ratio is the median over rounds.
Vectors must agree within 1e-5 before it is printed. Time of the processor is given too, since the other work of a
machine disturbs it less than the time on the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Timed = tuple[np.ndarray, float, float]


def mixed_texts(count: int, seed: int = 0) -> list[str]:
    """Short and long texts, shuffled."""
    data = Path(os.environ.get("OFAKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data"

    def rows(name: str) -> list[dict]:
        return [json.loads(line) for line in (data / name).read_text(encoding="utf-8").splitlines()]

    generator = random.Random(seed)
    captions = [caption for row in rows("flickr8k/captions_train.jsonl") for caption in row["captions"]]
    texts = [f"{row['title']} {row['text']}" for row in rows("flag_kb/passages.jsonl")]
    texts += [row["text"] for row in rows("ir/cranfield/corpus.jsonl") if row["text"]]
    texts += generator.sample(captions, 8000) + [row["text"] for row in rows("fvqa_text/facts.jsonl")]
    generator.shuffle(texts)
    return texts[:count]


def timed(function: Callable[[], np.ndarray]) -> Timed:
    """The vectors, seconds on the clock and seconds of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    vectors = function()
    return vectors, time.perf_counter() - clock, time.process_time() - processor


def ours(model: str, texts: list[str]) -> Callable[[], np.ndarray]:
    """From items to an index directory."""
    from ofakit.data.passage import Passage
    from ofakit.hub import load_retriever
    from ofakit.inference import Embedder
    from ofakit.retrieval import encode, load_index

    embedder = Embedder(load_retriever(model), device="cpu")
    items = [Passage(str(number), text) for number, text in enumerate(texts)]
    folder = Path(tempfile.mkdtemp()) / "index"

    def run() -> np.ndarray:
        shutil.rmtree(folder, ignore_errors=True)
        encode(embedder, items, folder)
        return load_index(folder).vectors[:]

    return run


def theirs(model: str, texts: list[str]) -> Callable[[], np.ndarray]:
    """To an array in memory."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model, device="cpu")
    return lambda: encoder.encode(texts, show_progress_bar=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--require", type=float, help="exit with 1 where the ratio is lower")
    args = parser.parse_args()
    import torch

    torch.set_num_threads(args.threads)
    texts = mixed_texts(args.texts)
    runs = {"ours": ours(args.model, texts), "theirs": theirs(args.model, texts)}
    times: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
    for number in range(args.rounds):
        vectors = {}
        for name in sorted(runs, reverse=bool(number % 2)):
            vectors[name], *seconds = timed(runs[name])
            times[name].append((seconds[0], seconds[1]))
            print(f"round {number + 1}: {name} {seconds[0]:.2f} s, processor {seconds[1]:.2f} s", file=sys.stderr)
        difference = float(np.abs(vectors["ours"] - vectors["theirs"]).max())
        assert difference <= 1e-5, f"vectors differ by {difference}"
    ratios = [[b[kind] / a[kind] for a, b in zip(times["ours"], times["theirs"], strict=True)] for kind in (0, 1)]
    ratio, processor = map(statistics.median, ratios)
    result = {"texts": len(texts), "threads": args.threads, "rounds": args.rounds, "largest_difference": difference}
    for name, seconds in times.items():
        result[f"{name}_texts_per_second"] = round(len(texts) / statistics.median(one for one, _ in seconds), 1)
    print(json.dumps({**result, "ratio": round(ratio, 2), "processor_ratio": round(processor, 2)}))
    if args.require and ratio < args.require:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

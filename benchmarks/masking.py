"""Whole-word masking of 10,000 captions beside a straightforward loop over sentences, in one run.

    python benchmarks/masking.py [--captions N] [--repeats R] [--require RATIO]

The peer is plain Python on lists, one sentence after another, by the same definition; its mean length and number of
masks must agree with ours before a ratio is printed. Captions are drawn: 8 to 29 tokens, 70 % word starts. Medians.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ofakit.text.masking import mask_whole_words_batch, mask_whole_words_packed

MASK, RATIO, MEAN = 50264, 0.3, 3.0


def drawn_captions(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, flags and lengths of captions with bos and eos."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(8, 30, count) + 2
    stops = np.cumsum(lengths)
    tokens = rng.integers(10, 50000, stops[-1])
    flags = (rng.random(stops[-1]) < 0.7).astype(np.int8)
    tokens[stops - lengths], tokens[stops - 1] = 0, 2
    flags[stops - lengths] = flags[stops - 1] = 0
    return tokens, flags, lengths


def poisson(rng: random.Random) -> int:
    length, product, limit = 0, rng.random(), math.exp(-MEAN)
    while product > limit:
        length, product = length + 1, product * rng.random()
    return length


def mask_one(ids: list[int], flags: list[int], rng: random.Random) -> list[int]:
    """One sentence, one `<mask>` a span."""
    words = [i for i, flag in enumerate(flags) if flag]
    left, spans, inserts = math.ceil(len(words) * RATIO), [], 0
    while left > 0:
        length = poisson(rng)
        if length:
            spans.append(min(length, left))
            left -= spans[-1]
        else:
            inserts += 1
    out, keep = list(ids), [True] * len(ids)
    for at, length in zip(rng.sample(words, len(spans)), spans, strict=True):
        out[at] = MASK
        at += 1
        while at < len(ids) - 1:
            length -= flags[at]
            if length <= 0 and flags[at]:
                break
            keep[at] = False
            at += 1
    out = [token for token, kept in zip(out, keep, strict=True) if kept]
    for place in sorted(rng.sample(range(1, len(out) + inserts - 1), inserts)):
        out.insert(place, MASK)
    return out


def median_seconds(work: Callable[[], Any], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=int, default=10_000, help="how many")
    parser.add_argument("--repeats", type=int, default=9, help="runs of each, of which the median counts")
    parser.add_argument("--require", type=float, default=0.0, help="exit 1 if the packed ratio is below this")
    arguments = parser.parse_args()
    tokens, flags, lengths = drawn_captions(arguments.captions)
    starts = np.cumsum(lengths)[:-1]
    ids_list, flags_list = ([part.tolist() for part in np.split(a, starts)] for a in (tokens, flags))
    ids_arrays, flags_arrays = np.split(tokens, starts), np.split(flags, starts)
    peer_rng, rng = random.Random(0), np.random.default_rng(0)

    def peer() -> list[list[int]]:
        return [mask_one(ids, marks, peer_rng) for ids, marks in zip(ids_list, flags_list, strict=True)]

    def packed() -> tuple[np.ndarray, np.ndarray]:
        return mask_whole_words_packed(tokens, flags, lengths, mask_id=MASK, generator=rng)

    def batch() -> list[np.ndarray]:
        return mask_whole_words_batch(ids_arrays, flags_arrays, mask_id=MASK, generator=rng)

    theirs, ours = peer(), packed()
    for name, a, b in (
        ("length", np.mean([len(row) for row in theirs]), ours[1].mean()),
        ("masks", np.mean([row.count(MASK) for row in theirs]), (ours[0] == MASK).sum() / len(lengths)),
    ):
        print(f"mean {name}: loop {a:.3f}, ours {b:.3f}", file=sys.stderr)
        if abs(a - b) > 6 * math.sqrt(a / len(lengths)):
            raise SystemExit(f"the two disagree about the mean {name}: {a} and {b}")
    seconds = {
        name: median_seconds(work, arguments.repeats)
        for name, work in (("loop", peer), ("packed", packed), ("list_of_arrays", batch))
    }
    result = {f"{name}_us_per_caption": round(s / len(lengths) * 1e6, 3) for name, s in seconds.items()}
    result |= {
        f"{name}_times_as_fast": round(seconds["loop"] / seconds[name], 1) for name in ("packed", "list_of_arrays")
    }
    print(json.dumps(result))
    return int(result["packed_times_as_fast"] < arguments.require)


if __name__ == "__main__":
    sys.exit(main())

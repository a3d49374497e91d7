"""Our METEOR beside the Java program of pycocoevalcap, in one run.

    python benchmarks/meteor.py [--images N] [--repeats R] [--require RATIO] [--pairs N]

Both score the same tokenized captions, 5,000 candidates with 5 references each (the four other captions of the image,
and one of another), by turns in fresh interpreters: what is timed is everything from the import to the last score, the
reading of the data included. Ours is timed three ways: as it is from the second time on; with an empty cache folder,
when the paraphrases are read from their text file; and with nothing compiled either, as on the very first call. Every
item and the corpus must agree within 1e-6, also those of `--pairs` single pairs of captions, half of them of different
images. Medians of wall-clock seconds, and processor seconds of the process with its children, which hang less on what
else the machine does.

Captions are those of Flickr8k under $OFAKIT_SHARED (or `shared` beside the checkout), else drawn ones.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scores import drawn, flickr8k

OURS = """
from ofakit.scores import meteor
corpus, per_item = meteor(candidates, references)
per_item = per_item.tolist()
"""
THEIRS = """
from pycocoevalcap.meteor.meteor import Meteor
corpus, per_item = Meteor().compute_score(dict(enumerate(references)), {i: [t] for i, t in enumerate(candidates)})
"""
FRAME = """
import json, resource, sys, time
candidates, references = json.load(open(sys.argv[1]))
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
before, began = sum(u.ru_utime + u.ru_stime for u in usage), time.perf_counter()
{work}
took = time.perf_counter() - began
globals().pop("Meteor", None)
import gc; gc.collect()
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([took, sum(u.ru_utime + u.ru_stime for u in usage) - before, corpus, per_item]))
"""


class Answer:
    """What one fresh interpreter says: seconds, processor seconds, corpus score and scores of the items."""

    def __init__(self, work: str, captions: Path, **environment: str) -> None:
        command = [sys.executable, "-c", FRAME.replace("{work}", work), str(captions)]
        done = subprocess.run(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, encoding="utf-8", check=True
        )
        self.seconds, self.processor, self.corpus, self.per_item = json.loads(done.stdout)


def check(mine: Answer, peer: Answer) -> float:
    """The largest difference; stop where the two disagree."""
    worst = float(np.abs(np.subtract([mine.corpus, *mine.per_item], [peer.corpus, *peer.per_item])).max())
    if worst > 1e-6:
        raise SystemExit(f"the two disagree by up to {worst}")
    return worst


def write(folder: Path, name: str, candidates: list[str], references: list[list[str]]) -> Path:
    """Captions in a file, as tokens."""
    from ofakit.scores import ptb_tokenize

    path = folder / f"{name}.json"
    path.write_text(
        json.dumps([ptb_tokenize(candidates), [ptb_tokenize(texts) for texts in references]]), encoding="utf-8"
    )
    return path


def single_pairs(captions: list[list[str]], number: int) -> tuple[list[str], list[list[str]]]:
    """Pairs of captions, by turns of one image and of two."""
    generator = random.Random(0)
    candidates, references = [], []
    for pair in range(number):
        first, second = generator.sample(captions, 2)
        one, other = generator.sample(first, 2)
        candidates.append(one)
        references.append([other if pair % 2 else generator.choice(second)])
    return candidates, references


def measured(corpus: Path, folder: Path, repeats: int) -> dict[str, Any]:
    """Both sides on the corpus by turns, after ours has run once for its caches."""
    caches = {"OFAKIT_CACHE": str(folder / "cache"), "NUMBA_CACHE_DIR": str(folder / "compiled")}
    first = Answer(OURS, corpus, **caches)
    turns = []
    for _ in range(repeats):
        shutil.rmtree(caches["OFAKIT_CACHE"])
        unread, mine, peer = Answer(OURS, corpus, **caches), Answer(OURS, corpus, **caches), Answer(THEIRS, corpus)
        worst = check(mine, peer)
        turns.append((unread, mine, peer))
    result: dict[str, Any] = {"very_first_s": first.seconds, "very_first_cpu_s": first.processor}
    for name, side in zip(("no_cache", "ours", "java"), zip(*turns, strict=True), strict=True):
        result[f"{name}_s"] = statistics.median(answer.seconds for answer in side)
        result[f"{name}_cpu_s"] = statistics.median(answer.processor for answer in side)
    result["times_as_fast"] = result["java_s"] / result["ours_s"]
    result["times_as_fast_cpu"] = result["java_cpu_s"] / result["ours_cpu_s"]
    return {**result, "largest_difference": worst}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000, help="of the corpus")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--require", type=float, default=0.0, help="exit 1 if the ratio is below this")
    parser.add_argument("--pairs", type=int, default=20_000, help="single pairs that must agree too")
    arguments = parser.parse_args()
    if shutil.which("java") is None:
        raise SystemExit("METEOR's own program needs Java, and there is none here")
    captions = flickr8k(arguments.images) or drawn(arguments.images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        references = [
            [*texts[1:], other[0]] for texts, other in zip(captions, captions[1:] + captions[:1], strict=True)
        ]
        corpus = write(folder, "corpus", [texts[0] for texts in captions], references)
        result = measured(corpus, folder, arguments.repeats)
        if arguments.pairs:
            pairs = write(folder, "pairs", *single_pairs(captions, arguments.pairs))
            result["largest_difference_of_pairs"] = check(Answer(OURS, pairs), Answer(THEIRS, pairs))
    print(json.dumps({name: round(value, 3) if value > 1e-3 else value for name, value in result.items()}))
    return int(result["times_as_fast"] < arguments.require)


if __name__ == "__main__":
    sys.exit(main())

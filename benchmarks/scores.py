"""Our scores beside pycocoevalcap's, in one run, on one core.

    python benchmarks/scores.py [--images N] [--repeats R] [--require RATIO] [--require-reward RATIO]

Corpus: tokenizing, BLEU, ROUGE-L and CIDEr of 5,000 candidates with 5 references each. Our memory of chunks and of the
last corpus is emptied before every repeat; the compiler's cache is warm, and what compiling costs is measured apart,
in fresh interpreters. Reward: CIDEr-D of 120 candidates (24 images, 5 candidates each) with a document frequency of
the whole corpus, against pycocoevalcap's CIDEr on the same batch; every repeat takes other images, first as they
come for the first time, then once more as they come in the next epoch. Numbers must agree before a ratio is printed.

Captions are those of Flickr8k under $OFAKIT_SHARED (or `shared` beside the checkout), else drawn ones. Medians.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

BEAMS, BATCH = 5, 120
FIRST_CALL = """
import time
began = time.perf_counter()
from ofakit.scores import bleu, cider, cider_d, document_frequency, ptb_tokenize, rouge_l
candidates, references = ptb_tokenize(["A dog runs."]), [ptb_tokenize(["A dog ran."])]
bleu(candidates, references), rouge_l(candidates, references), cider(candidates, references)
cider_d(candidates, references, document_frequency(references))
print(time.perf_counter() - began)
"""


def flickr8k(count: int) -> list[list[str]] | None:
    """Five captions of each image, or None where the data are not there."""
    folder = Path(os.environ.get("OFAKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    path = folder / "data" / "flickr8k" / "captions_train.jsonl"
    if not path.exists():
        return None
    rows = [json.loads(line)["captions"] for line in path.read_text("utf-8").splitlines()]
    return rows[:count] if len(rows) >= count else None


def drawn(count: int) -> list[list[str]]:
    """Captions of 6 to 18 words; of 8,000 words the n-th is drawn with probability proportional to 1 / n."""
    generator = random.Random(0)
    words, weights = [f"word{n}" for n in range(8000)], [1 / (n + 1) for n in range(8000)]
    lengths = [generator.randint(6, 18) for _ in range(5 * count)]
    captions = iter(" ".join(generator.choices(words, weights, k=length)) + " ." for length in lengths)
    return [[next(captions) for _ in range(5)] for _ in range(count)]


def ours(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Corpus scores from captions as written."""
    from ofakit.scores import bleu, cider, ngrams, ptb_tokenize, rouge_l
    from ofakit.scores.ptb import ptb_tokenizer

    ptb_tokenizer._CHUNKS.clear()
    ngrams._last.clear()
    tokens = ptb_tokenize(candidates)
    flat = iter(ptb_tokenize(list(chain.from_iterable(references))))
    texts = [[next(flat) for _ in one] for one in references]
    scores = [*bleu(tokens, texts), rouge_l(tokens, texts), cider(tokens, texts)]
    return [score.corpus for score in scores]


def theirs(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """The same from pycocoevalcap, Java tokenizer included."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    given = {item: [{"caption": text} for text in texts] for item, texts in enumerate(references)}
    asked = {item: [{"caption": text}] for item, text in enumerate(candidates)}
    with contextlib.redirect_stdout(io.StringIO()):
        tokenizer = PTBTokenizer()
        given, asked = tokenizer.tokenize(given), tokenizer.tokenize(asked)
        bleu = Bleu().compute_score(given, asked)[0]
        return [
            float(s) for s in (*bleu, Rouge().compute_score(given, asked)[0], Cider().compute_score(given, asked)[0])
        ]


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """How long `work` takes, and its answer."""
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def check(mine: Sequence[float], peer: Sequence[float]) -> None:
    """Stop where the two disagree."""
    worst = max(abs(a - b) for a, b in zip(mine, peer, strict=True))
    print(f"largest difference: {worst:.1e}", file=sys.stderr)
    if worst > 1e-9:
        raise SystemExit(f"the two disagree: {mine} and {peer}")


def corpus(captions: list[list[str]], repeats: int) -> dict[str, float]:
    """Both sides by turns on the whole corpus."""
    candidates = [texts[0] for texts in captions[1:] + captions[:1]]
    if shutil.which("java") is None:
        raise SystemExit("pycocoevalcap's tokenizer needs Java, and there is none here")
    check(ours(candidates, captions), theirs(candidates, captions))
    pairs = [
        (seconds(lambda: ours(candidates, captions))[0], seconds(lambda: theirs(candidates, captions))[0])
        for _ in range(repeats)
    ]
    mine, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {"corpus_ours_s": mine, "corpus_pycocoevalcap_s": peer, "corpus_times_as_fast": peer / mine}


def reward(captions: list[list[str]], repeats: int) -> dict[str, float]:
    """Both sides on batches of other images each time; ours once more when all images were seen."""
    from ofakit.scores import cider_d, document_frequency, ptb_tokenize
    from pycocoevalcap.cider.cider import Cider

    texts = [ptb_tokenize(one) for one in captions]
    frequency = document_frequency(texts)
    generator = random.Random(0)
    images = generator.sample(range(len(texts)), BATCH // BEAMS * repeats)
    batches = []
    for start in range(0, len(images), BATCH // BEAMS):
        chosen = [i for i in images[start : start + BATCH // BEAMS] for _ in range(BEAMS)]
        candidates = [" ".join(generator.choice(texts[i]).split()[:-2] + ["outside"]) for i in chosen]
        batches.append((candidates, [texts[i] for i in chosen]))
    times: dict[str, list[float]] = {"first": [], "again": [], "peer": []}
    for name in ("first", "again"):
        asked = [([f"{text} {name}" for text in candidates], references) for candidates, references in batches]
        for candidates, references in asked:
            times[name].append(seconds(lambda c=candidates, r=references: cider_d(c, r, frequency))[0])
        for candidates, references in asked:
            given, found = dict(enumerate(references)), {i: [text] for i, text in enumerate(candidates)}
            took, (_, scores) = seconds(lambda g=given, f=found: Cider().compute_score(g, f))
            times["peer"].append(took)
            check(cider_d(candidates, references).per_item, scores)
    first, again, peer = (statistics.median(times[name]) for name in ("first", "again", "peer"))
    return {
        "reward_ours_new_images_ms": first * 1e3, "reward_ours_seen_images_ms": again * 1e3,
        "reward_pycocoevalcap_ms": peer * 1e3, "reward_times_as_fast_new_images": peer / first,
        "reward_times_as_fast_seen_images": peer / again,
    }  # fmt: skip


def first_calls(repeats: int) -> dict[str, float]:
    """Import and first call of every score in fresh interpreters: with an empty cache on disk, and with a warm one."""

    def once(environment: dict[str, str]) -> float:
        command = [sys.executable, "-c", FIRST_CALL]
        return float(subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True).stdout)

    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        cold = once(environment)
        warm = statistics.median(once(environment) for _ in range(repeats))
    return {"first_call_cold_cache_s": cold, "first_call_warm_cache_s": warm}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000, help="of the corpus")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, of which the median counts")
    parser.add_argument("--require", type=float, default=0.0, help="exit 1 if the corpus ratio is below this")
    parser.add_argument("--require-reward", type=float, default=0.0, help="exit 1 if a reward ratio is below this")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    captions = flickr8k(arguments.images) or drawn(arguments.images)
    started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    candidates = [texts[0] for texts in captions[1:] + captions[:1]]
    ours(candidates, captions)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started) / 1024
    result = {**first_calls(arguments.repeats), "memory_of_our_corpus_run_mib": memory}
    result |= corpus(captions, arguments.repeats) | reward(captions, 4 * arguments.repeats)
    print(json.dumps({name: round(value, 3) for name, value in result.items()}))
    slowest_reward = min(result[f"reward_times_as_fast_{kind}_images"] for kind in ("new", "seen"))
    return int(result["corpus_times_as_fast"] < arguments.require or slowest_reward < arguments.require_reward)


if __name__ == "__main__":
    sys.exit(main())

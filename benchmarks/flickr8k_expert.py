"""Do our scores rank captions as people do? Kendall's tau-c on Flickr8k-Expert, beside the published figures.

    python benchmarks/flickr8k_expert.py

5,664 pairs of image and caption (those whose caption belongs to the image itself are left out), each rated by
three experts from 1 to 4; every single rating is one observation. The candidate is scored against the five captions of
the image; CIDEr takes document frequencies from the pairs. Ratings and captions: Hodosh et al. 2013, under
$OFAKIT_SHARED (or `shared` beside the checkout); figures to compare with: `golden_correlations.json` there, which
agree with those of Hessel et al. 2021, https://arxiv.org/abs/2104.08718. Ends with 1 if a rounded figure differs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from itertools import chain
from pathlib import Path

import numpy as np
from ofakit.scores import measure, ptb_tokenize
from scipy.stats import kendalltau

TITLES = {
    "bleu1": "BLEU-1", "bleu2": "BLEU-2", "bleu3": "BLEU-3", "bleu4": "BLEU-4", "rouge_l": "ROUGE-L",
    "cider": "CIDEr", "meteor": "METEOR",
}  # fmt: skip


def all_captions(folder: Path) -> dict[str, list[str]]:
    """The five captions of every image."""
    found = {}
    for path in sorted(folder.glob("captions_*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            found[row["image"]] = row["captions"]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    shared = Path(os.environ.get("OFAKIT_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    folder = shared / "data" / "flickr8k"
    if not folder.is_dir():
        print(f"skipped: no Flickr8k at {folder}; set OFAKIT_SHARED", file=sys.stderr)
        return 0
    captions = all_captions(folder)
    golden = json.loads((folder / "human_judgements" / "golden_correlations.json").read_text("utf-8"))["Expert"]
    candidates, references, ratings = pairs(folder / "human_judgements" / "ExpertAnnotations.txt", captions)
    if (len(candidates), ratings.size) != (golden["pairs"], golden["ratings"]):
        raise SystemExit(f"expected {golden['pairs']} pairs, found {len(candidates)}")
    measures, missing = measure(candidates, references, java=False)
    same = True
    result = {}
    for name, title in TITLES.items():
        if name in missing:
            print(f"{title:8} missing: {missing[name]}", file=sys.stderr)
            continue
        scores = np.repeat(measures[name].per_item, ratings.shape[1])
        result[name] = round(100 * float(kendalltau(scores, ratings.ravel(), variant="c").statistic), 3)
        expected = golden["scores_x100"][title]["tau_c"]
        print(f"{title:8} tau-c {result[name]:.1f}, expected {expected:.1f}", file=sys.stderr)
        same &= round(result[name], 1) == round(expected, 1)
    print(json.dumps({**result, "same": same}))
    return int(not same)


def pairs(path: Path, captions: dict[str, list[str]]) -> tuple[list[str], list[list[str]], np.ndarray]:
    """Candidates, references and ratings, shape (pairs, 3), of the pairs whose caption is of another image."""
    rows = [line.split("\t") for line in path.read_text("utf-8").splitlines()]
    rows = [row for row in rows if row[1].partition("#")[0] != row[0]]
    sources = [row[1].partition("#") for row in rows]
    candidates = ptb_tokenize([captions[image][int(number)] for image, _, number in sources])
    images = list(dict.fromkeys(row[0] for row in rows))
    flat = iter(ptb_tokenize(list(chain.from_iterable(captions[image] for image in images))))
    tokens = {image: [next(flat) for _ in captions[image]] for image in images}
    return candidates, [tokens[row[0]] for row in rows], np.array([row[2:5] for row in rows], dtype=int)


if __name__ == "__main__":
    sys.exit(main())

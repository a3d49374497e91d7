r"""What each objective brings on FlickrStyle: same start, same number of steps, several seeds.

    python tools/finetune.py --conf configs/caption/flickrstyle.json --set data.root=DATA --set work_dir=STYLES
    python tools/finetune.py --conf configs/caption/flickrstyle_factual.json --set data.root=DATA \
        --set model.path=STYLES/best --set work_dir=START
    python benchmarks/flickrstyle.py --data DATA --start START/best --out OUT [--seeds 1 2 3] [--jobs 2] [--arms …]

Trains a model of that start further: with cross entropy, with style MLM beside it, and with image-text matching beside
it (`configs/flickrstyle/`), each with every seed; then SCST from the models of the arm that has the best mean CIDEr on
the validation split, or, with `--arms` and no name after it, from START itself. A run whose `result.json` is there is
not run again. Prints two Markdown tables: scores of the test split, the mean over seeds with its 95 % interval
(Student's t), and paired randomization tests of every arm against the one it is compared with: on the captions of all
seeds, and, since seeds share their images, with each image's captions taken as a whole. Every process computes with
one thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ofakit.scores import measure, paired_tests
from run_scores import captions_of, interval, test_by_image
from trainings import ROOT, ended

ARMS = ("cross_entropy", "style_mlm", "itm")
START = "start"
STYLES = ("humorous", "romantic")
PER_STYLE = ("bleu1", "bleu3", "cider", "cider_shuffled", "style_accuracy")


def folder(options: argparse.Namespace, arm: str, seed: int) -> Path:
    """Where a run writes; the start is the same for all seeds."""
    return options.out / (arm if arm == START else f"{arm}_{seed}")


def run(options: argparse.Namespace, arm: str, seed: int, start: Path) -> dict:
    """One training, or the evaluation of the start; or what it gave when it was run before."""
    keys = {"seed": seed, "data.root": options.data, "model.path": str(start)}
    keys["data.image_store"] = str(options.out / "image_store")
    tool = ["finetune.py"] if arm != START else ["evaluate.py", "--checkpoint", str(start)]
    config = ROOT / f"configs/flickrstyle/{'scst' if arm == START else arm}.json"
    return ended(tool, config, folder(options, arm, seed), keys, options.set)


def best_arm(options: argparse.Namespace) -> str:
    """The arm with the best mean CIDEr on the validation split."""

    def on_validation(arm: str) -> float:
        files = [folder(options, arm, seed) / "eval/val.json" for seed in options.seeds]
        return statistics.mean(json.loads(file.read_text(encoding="utf-8"))["cider"] for file in files)

    return max(options.arms, key=on_validation)


def score_table(results: dict[str, list[dict]]) -> str:
    """Scores of each arm and style; all times 100."""
    lines = [
        "| | style | BLEU-1 | BLEU-3 | CIDEr | CIDEr, shuffled | style accuracy |",
        "|---|---|---|---|---|---|---|",
    ]
    for arm, runs in results.items():
        for style in STYLES:
            cells = [interval([run[f"{style}/{name}"] for run in runs]) for name in PER_STYLE]
            lines.append("| " + " | ".join([arm, style, *cells]) + " |")
    return "\n".join(lines)


def test_table(options: argparse.Namespace, pairs: list[tuple[str, str]]) -> str:
    """Differences of corpus scores over both styles, times 100, with the p of chance."""
    lines = ["| | against | BLEU-1 | BLEU-3 | CIDEr | CIDEr, by image |", "|---|---|---|---|---|---|"]
    for arm, other in pairs:
        captions = [captions_of([folder(options, name, seed) for seed in options.seeds]) for name in (other, arm)]
        first, second = (measure(*one[:2], java=False, meteor=False)[0] for one in captions)
        found = paired_tests(first, second)
        cells = [f"{100 * found[n].difference:+.1f} (p {found[n].p:.4f})" for n in ("bleu1", "bleu3", "cider")]
        cells.append(test_by_image(first["cider"], second["cider"], captions[0].images))
        lines.append("| " + " | ".join([arm, other, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with flickr8k/ and flickrstyle/")
    parser.add_argument("--start", required=True, help="model directory that all arms start from")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="*", choices=ARMS, default=list(ARMS), help="what is trained before SCST")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for every run")
    options = parser.parse_args()
    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = {
            arm: [pool.submit(run, options, arm, s, options.start) for s in options.seeds] for arm in options.arms
        }
        results = {arm: [found.result() for found in runs] for arm, runs in waiting.items()}
        best = best_arm(options) if options.arms else START
        if best == START:
            results[START] = [run(options, START, 0, options.start)] * len(options.seeds)
        starts = {s: options.start if best == START else folder(options, best, s) / "output" for s in options.seeds}
        waiting = [pool.submit(run, options, "scst", seed, start) for seed, start in starts.items()]
        results["scst"] = [found.result() for found in waiting]
    print(f"SCST starts from {best}\n\n{score_table(results)}\n")
    others = [arm for arm in options.arms if arm != "cross_entropy"] if "cross_entropy" in options.arms else []
    pairs = [*((arm, "cross_entropy") for arm in others), *(("scst", arm) for arm in results if arm != "scst")]
    print(test_table(options, pairs))
    print(json.dumps({"best": best, "seeds": options.seeds, "results": results}))


if __name__ == "__main__":
    main()

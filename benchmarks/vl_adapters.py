"""Adapters beside full tuning: the same start, data and number of steps, several seeds.

    python tools/finetune.py --conf configs/vl/flickr8k.json --set data.root=DATA --set work_dir=START
    python benchmarks/vl_adapters.py --start START/best --out OUT --seeds 1 2 3 --set data.root=DATA

Trains VL-BART further on FlickrStyle's two styles (`configs/vl/flickrstyle.json`), whole and with each kind of adapter
alone, and prints a Markdown table: the share of the parameters that learns, captions a second in training, and scores
of the test split, the mean over seeds with its 95 % interval (Student's t), CIDEr with a paired randomization test by
image against full tuning on the captions of all seeds. A run whose `result.json` is there is not run again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from ofakit.scores import measure
from run_scores import captions_of, interval, test_by_image
from trainings import ROOT, ended

ARMS = {
    "full tuning": ({}, 5e-4),
    "bottleneck": ({"type": "bottleneck", "reduction": 4}, 2e-3),
    "compacter": ({"type": "compacter", "reduction": 4}, 2e-3),
    "LoRA": ({"type": "lora", "rank": 16}, 2e-3),
    "(IA)³": ({"type": "ia3"}, 1e-2),
    "prompt": ({"type": "prompt", "encoder_length": 20, "decoder_length": 0}, 1e-2),
}
SCORES = ("bleu1", "bleu4", "cider", "style_accuracy")


def folder(out: Path, arm: str, seed: int) -> Path:
    """Where a run writes."""
    name = arm.split()[0].replace("³", "3").lower()
    return out / f"{''.join(filter(str.isalnum, name))}_{seed}"


def captions_a_second(run: Path) -> float:
    """The median of the later lines of `metrics.jsonl`."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    rates = [line["images_per_second"] for line in lines if "images_per_second" in line]
    return statistics.median(rates[1:] or rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="model directory that all arms start from")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every run (repeatable)")
    options = parser.parse_args()
    results: dict[str, list[dict]] = {arm: [] for arm in options.arms}
    for seed in options.seeds:
        for arm in options.arms:
            adapter, rate = ARMS[arm]
            keys = {"seed": seed, "model.path": str(options.start), "train.optimizer.lr": rate}
            keys |= {"model.adapter": adapter} if adapter else {}
            config, run = ROOT / "configs/vl/flickrstyle.json", folder(options.out, arm, seed)
            results[arm].append(ended(["finetune.py"], config, run, keys, options.set))
    print("| | share that learns | captions/s | BLEU-1 | BLEU-4 | CIDEr | style accuracy | CIDEr - full tuning's |")
    print("|---|---|---|---|---|---|---|---|")
    runs = {arm: [folder(options.out, arm, seed) for seed in options.seeds] for arm in options.arms}
    whole = None
    for arm, found in results.items():
        captions = captions_of(runs[arm])
        cider = measure(*captions[:2], java=False, meteor=False)[0]["cider"]
        whole = whole or cider
        share = found[0].get("trainable_share", 1.0)
        rate = statistics.median(map(captions_a_second, runs[arm]))
        cells = [
            f"{100 * share:.2f} %",
            f"{rate:.0f}",
            *(interval([one[name] for one in found]) for name in SCORES),
        ]
        cells.append("" if cider is whole else test_by_image(whole, cider, captions.images))
        print("| " + " | ".join([arm, *cells]) + " |")


if __name__ == "__main__":
    main()

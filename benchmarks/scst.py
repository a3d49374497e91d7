"""One step of self-critical training beside the same step put together from the stock code, in one run.

    python benchmarks/scst.py --stock-python STOCK_ENV/bin/python --vocabulary DIR [--sizes tiny base]

DIR has OFA's vocab.json and merges.txt, as every released model directory does. Both sides get the same random
weights, random images and references, five per image, and do: beam search with 5 beams and at most 16 tokens, text,
CIDEr-D with the document frequency of 4,000 captions, leave-one-out advantages, a second pass with gradient, AdamW.
The stock side does what OFA's SCST criterion does with ModelScope's model and generator and pycocoevalcap's scorer;
`--stock-encoder once` lets it encode each image once for its five captions, which OFA's criterion does not.

Recipes: `train` trains every weight in training mode; `frozen` freezes the visual backbone and makes the second pass
without dropout, as OFA's second stage can be told to.

Checks first that hypotheses, rewards and loss are the same on both sides, then times steps on images that are new
to both, each side in a process of its own, one after the other. The shares are of the median step;
our rewards are computed while the second pass runs, so theirs is not a part of the rest. Last, one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path

import torch
from ofakit.data.scene_captions import STYLES, split_scenes
from ofakit.text import OFATokenizer
from vs_stock import Bench, check_hypotheses, make_model, random_batch

WORKER = Path(__file__).with_name("scst_worker.py")
IMAGES = 800
WORDS = 50265  # ids behind these are codes and places, of which the two tokenizers make different spaces


def write_model(directory: Path, size: str, vocabulary: Path) -> None:
    """Write a model with random weights and OFA's tokenizer."""
    make_model(directory, size, WORDS)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(vocabulary / name, directory / name)


def references_of(hypotheses: list[list[str]]) -> list[list[str]]:
    """Five references for each of 800 images: captions of drawn scenes, and in each a piece of a hypothesis.

    Random weights write no words that anyone would, so without the pieces every reward would be 0.

    Args:
        hypotheses: Texts, for each image of a batch.
    """
    draw = random.Random(0)
    references = []
    for number, scene in enumerate(split_scenes({"train": IMAGES})["train"]):
        said = [draw.choice(scene.captions(style)) for style in [*STYLES, draw.choice(list(STYLES))]]
        words = [text.split() for text in hypotheses[number % len(hypotheses)]]
        starts = [draw.randrange(max(1, len(w) - 5)) for w in words]
        pieces = [" ".join(w[start : start + draw.randint(2, 6)]) for w, start in zip(words, starts, strict=True)]
        references.append([f"{text} {piece}" for text, piece in zip(said, pieces, strict=True)])
    return references


def write_work(path: Path, batch: int, count: int, references: list[list[str]], hypotheses: list[list[int]]) -> None:
    """Write what a worker gets beside the model: batches of new images, all references, hypotheses to check."""
    names = ("input_ids", "patch_images", "patch_masks")
    batches = []
    for number in range(count):
        whole = random_batch(batch, seed=number)
        index = (torch.arange(batch) + number * batch) % IMAGES
        batches.append({**{name: whole[name] for name in names}, "index": index})
    torch.save({"batches": batches, "references": references, "hypotheses": hypotheses}, path)


def check(bench: Bench, size: str) -> dict[str, float]:
    """Rewards and loss of the same captions on both sides; a difference ends the run."""
    ours, stock = (bench.run(side, "check", "fp32") for side in ("ours", "stock"))
    pairs = list(zip(ours["rewards"], stock["rewards"], strict=True))
    worst = max(abs(mine - theirs) for mine, theirs in pairs)
    if worst > 1e-6 or max(ours["rewards"]) == 0:
        raise SystemExit(f"{size}: rewards differ by {worst} or are all 0; nothing was timed")
    if abs(ours["loss"] - stock["loss"]) > 1e-4 * abs(stock["loss"]):
        raise SystemExit(f"{size}: losses differ, ours {ours['loss']}, stock {stock['loss']}; nothing was timed")
    best = max(ours["rewards"])
    return {"best_reward": best, "rewards_differ_by": worst, "loss": ours["loss"], "stock_loss": stock["loss"]}


def measure(bench: Bench, size: str, options: argparse.Namespace) -> dict[str, dict]:
    """Seconds and shares of a step for every precision; the stock side's own precision is always fp32."""
    row, known = {}, {}
    for precision in options.precisions:
        stock_precision = precision if options.stock_autocast else "fp32"
        if stock_precision not in known:
            known[stock_precision] = bench.run("stock", "step", stock_precision)
        stock, ours = known[stock_precision], bench.run("ours", "step", precision)
        row[precision] = {"ours": ours, "stock": stock, "ratio": stock["seconds"] / ours["seconds"]}
        for side, found in (("stock", stock), ("ours", ours)):
            shares = "  ".join(f"{name} {share:.1%}" for name, share in found["shares"].items())
            print(f"{size:6} {precision} {side:5} {found['seconds']:8.3f} s   {shares}", flush=True)
        print(f"{size:6} {precision} ratio {row[precision]['ratio']:.2f}", flush=True)
    return row


def compare(size: str, options: argparse.Namespace) -> dict:
    """Everything of one model size."""
    with tempfile.TemporaryDirectory() as folder:
        directory, work = Path(folder) / size, Path(folder) / "work.pt"
        write_model(directory, size, options.vocabulary)
        more = ["--recipe", options.recipe, "--encoder", options.stock_encoder]
        bench = Bench(options, directory, work, WORKER, more)
        write_work(work, options.batch, 1, [], [])
        scores = check_hypotheses(bench, size)
        found = bench.run("ours", "hypotheses", "fp32")["hypotheses"]
        tokens = [[tokens for tokens, _ in of_image] for of_image in found]
        tokenizer = OFATokenizer.from_pretrained(directory)
        references = references_of([tokenizer.decode_batch(of_image) for of_image in tokens])
        flat = [row for of_image in tokens for row in of_image]
        write_work(work, options.batch, options.repeats + 1, references, flat)
        return {"scores_differ_by": scores, **check(bench, size), **measure(bench, size, options)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stock-python", required=True, help="the Python of an environment with the stock OFA")
    parser.add_argument("--vocabulary", type=Path, required=True, help="a folder with OFA's vocab.json and merges.txt")
    parser.add_argument("--sizes", nargs="+", default=["tiny", "base"])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--recipe", default="train", choices=["train", "frozen"])
    parser.add_argument("--stock-encoder", default="repeat", choices=["repeat", "once"])
    parser.add_argument("--stock-autocast", action="store_true", help="put autocast around the stock code for bf16")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="timed steps; one more comes first")
    options = parser.parse_args()
    result = {size: compare(size, options) for size in options.sizes}
    names = ("batch", "threads", "device", "recipe", "stock_encoder", "stock_autocast")
    print(json.dumps({**{name: getattr(options, name) for name in names}, "torch": torch.__version__, **result}))


if __name__ == "__main__":
    main()

"""This project's OFA beside ModelScope's at the same work on the same machine, in one run.

    python benchmarks/vs_stock.py --stock-python STOCK_ENV/bin/python [--sizes tiny base] [--measures train …]
    python benchmarks/vs_stock.py --stock-python STOCK_ENV/bin/python --device cuda --batch 64 --sizes base large
    python benchmarks/vs_stock.py --stock-python STOCK_ENV/bin/python --device cuda --batch 64 --stock-autocast

Checks first that both give the same loss and the same hypotheses from the same weights and batch, then times a
training step (forward, loss, backward, AdamW) in fp32 and in bf16 and takes its peak memory, and times beam search
with 5 beams and at most 16 tokens (our model prepared for inference, as the tools do it). Every measurement has a
process of its own; the sides take turns, so that another load on the machine meets both. Prints a table and, last, one
JSON line with the ratios: stock over ours for seconds, ours over stock for bytes. Beside the seconds of a training step
stand our images a second, and both sides' share of what the device does in a product of large matrices of that type.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.checkpoints import save_modelscope

WORKER = Path(__file__).with_name("vs_stock_worker.py")


def make_model(directory: Path, size: str, words: int | None = None) -> None:
    """Write a model of a released size with random weights; ids from `words` on are never among the likeliest."""
    torch.manual_seed(0)
    model = OFAModel(OFAConfig.from_size(size))
    with torch.no_grad():
        model.output_embedding[words or model.config.vocab_size :] = 0
    save_modelscope(model, directory)


def random_batch(size: int, seed: int = 1, pixels: int = 224) -> dict[str, torch.Tensor]:
    """A batch of random images, the usual prompt's length, and captions of 8 to 14 tokens with padding."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, 50000, (size, 9), generator=generator)
    lengths = torch.randint(8, 15, (size,), generator=generator)
    target = torch.randint(4, 50000, (size, int(lengths.max())), generator=generator)
    target[torch.arange(target.shape[1]) >= lengths[:, None]] = 1
    previous = torch.cat([torch.zeros(size, 1, dtype=torch.int64), target[:, :-1]], 1)
    images = torch.randn(size, 3, pixels, pixels, generator=generator)
    masks = torch.ones(size, dtype=torch.bool)
    batch = {"input_ids": ids, "patch_images": images, "patch_masks": masks}
    return {**batch, "decoder_input_ids": previous, "target": target}


class Bench:
    """Runs workers of both sides for one model; `more` are further options of the worker."""

    def __init__(
        self, options: argparse.Namespace, directory: Path, batch: Path, worker: Path = WORKER, more: Sequence[str] = ()
    ) -> None:
        self.options, self.paths, self.worker, self.more = options, (str(directory), str(batch)), worker, more
        self.pythons = {"ours": sys.executable, "stock": options.stock_python}
        self.known: dict[tuple[str, str], dict] = {}

    def run(self, side: str, measure: str, precision: str) -> dict:
        options = ["--precision", precision, "--threads", str(self.options.threads)]
        options += ["--repeats", str(self.options.repeats), *self.more]
        if self.options.device != "cpu":
            options += ["--device", self.options.device]
        command = [self.pythons[side], str(self.worker), side, measure, *self.paths, *options]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.options.threads)}
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment)
        if done.returncode:
            raise SystemExit(f"{side} {measure} {precision} failed:\n{done.stderr[-3000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def once(self, measure: str, precision: str) -> dict:
        """What our side finds, measured when it is first asked for."""
        if (measure, precision) not in self.known:
            self.known[measure, precision] = self.run("ours", measure, precision)
        return self.known[measure, precision]

    def both(
        self, measure: str, precision: str, stock_precision: str, field: str, rounds: int = 1
    ) -> tuple[float, float]:
        found: dict[str, list[float]] = {"ours": [], "stock": []}
        for _ in range(rounds):
            found["stock"].append(self.run("stock", measure, stock_precision)[field])
            found["ours"].append(self.run("ours", measure, precision)[field])
        return statistics.median(found["ours"]), statistics.median(found["stock"])


def check_hypotheses(bench: Bench, size: str) -> float:
    """The largest difference of scores; another order or other tokens are an error unless the scores are as good."""
    ours, stock = (bench.run(side, "hypotheses", "fp32")["hypotheses"] for side in ("ours", "stock"))
    pairs = [pair for both in zip(ours, stock, strict=True) for pair in zip(*both, strict=True)]
    worst = max(abs(mine[1] - theirs[1]) for mine, theirs in pairs)
    if worst > 1e-4:
        raise SystemExit(f"{size}: the scores of hypotheses differ by {worst}; nothing was timed")
    other = sum(mine[0] != theirs[0] for mine, theirs in pairs)
    if other:
        print(f"{size}: {other} of {len(pairs)} hypotheses are others of the same score", file=sys.stderr)
    return worst


def compare(bench: Bench, size: str, rounds: int, measures: list[str]) -> dict:
    """All rows of one model size.

    The stock code's own precision is fp32 whatever is asked, so our bf16 meets that, unless autocast is asked for.
    """
    ours, stock = bench.both("loss", "fp32", "fp32", "loss")
    if abs(ours - stock) > 1e-4 * abs(stock):
        raise SystemExit(f"{size}: the losses differ, ours {ours}, stock {stock}; nothing was timed")
    row = {"loss": {"ours": ours, "stock": stock}}
    if "generate" in measures:
        row["scores"] = {"ours": check_hypotheses(bench, size), "stock": 0.0}
    for measure in measures:
        for precision in ("fp32", "bf16"):
            theirs = precision if bench.options.stock_autocast else "fp32"
            if measure == "memory":
                held = bench.both(measure, precision, theirs, "bytes")
                row[f"memory_{precision}_bytes"] = {"ours": held[0], "stock": held[1], "ratio": held[0] / held[1]}
                continue
            seconds = bench.both(measure, precision, theirs, "seconds", rounds)
            cell = {"ours": seconds[0], "stock": seconds[1], "ratio": seconds[1] / seconds[0]}
            if measure == "train":
                cell |= shares(bench, precision, theirs, *seconds)
            row[f"{measure}_{precision}_s"] = cell
    return row


def shares(bench: Bench, precision: str, theirs: str, ours: float, stock: float) -> dict[str, float]:
    """Images a second, and the shares of the device's peak that both sides' steps reach, each in its precision."""
    operations = bench.once("operations", "fp32")["operations"]
    peaks = {kind: bench.once("peak", kind)["operations_per_second"] for kind in {precision, theirs}}
    return {
        "images_per_second": bench.options.batch / ours,
        "share_of_peak": operations / ours / peaks[precision],
        "stock_share_of_peak": operations / stock / peaks[theirs],
    }


def show(size: str, row: dict) -> None:
    for name, cell in row.items():
        unit, scale = ("GiB", 2**30) if name.endswith("bytes") else ("s" if name.endswith("_s") else "", 1)
        numbers = f"ours {cell['ours'] / scale:9.4f}   stock {cell['stock'] / scale:9.4f} {unit:3}"
        ratio = f"   ratio {cell['ratio']:.2f}" if "ratio" in cell else ""
        if "share_of_peak" in cell:
            ratio += f"   of peak {cell['share_of_peak']:.0%}, stock {cell['stock_share_of_peak']:.0%}"
        print(f"{size:7} {name.rsplit('_', 1)[0] if unit else name:14} {numbers}{ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stock-python", required=True, help="the Python of an environment with the stock OFA")
    parser.add_argument("--sizes", nargs="+", default=["tiny", "base"])
    measures = ["train", "memory", "generate"]
    parser.add_argument("--measures", nargs="+", default=measures, choices=measures)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--stock-autocast", action="store_true", help="put autocast around the stock code for bf16")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1, help="how often the sides take turns")
    options = parser.parse_args()
    result: dict[str, dict] = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            directory, batch = Path(folder) / size, Path(folder) / "batch.pt"
            make_model(directory, size)
            torch.save(random_batch(options.batch), batch)
            result[size] = compare(Bench(options, directory, batch), size, options.rounds, options.measures)
        show(size, result[size])
    names = ("device", "batch", "threads", "stock_autocast")
    settings = {**{name: getattr(options, name) for name in names}, "torch": torch.__version__}
    print(json.dumps({**settings, **result}))


if __name__ == "__main__":
    main()

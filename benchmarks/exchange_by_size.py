"""What several GPUs hold and exchange in a training step, by the formulas of docs/scaling-training.md; nothing is run.

python benchmarks/exchange_by_size.py [--sizes base large huge] [--gpus 8 16] [--links 450 50 12.5]

Bytes that a process sends in a step, P being the weights in fp32: DDP 2 (N-1)/N P (a ring's all-reduce), FSDP2 "grad"
as much (one all-gather, one reduce-scatter), "full" 3 (N-1)/N P (the all-gather twice). Source: nccl-tests,
doc/PERFORMANCE.md; Zhao et al. 2023, https://arxiv.org/abs/2304.11277. Bytes that it holds: 16 a parameter for weights,
gradients and the two moments of AdamW, divided by N where they are divided, and what is gathered at one time.
"""

from __future__ import annotations

import argparse
import json

import torch
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.configuration import SIZES
from ofakit.models.repeated_layers import repeated_layers

WEIGHT, STATE = 4, 16


def parameters_of(size: str) -> tuple[int, int, int]:
    """All parameters of a size, those outside of its layers, and those of the largest layer."""
    with torch.device("meta"):
        model = OFAModel(OFAConfig.from_size(size))
    every = sum(weight.numel() for weight in model.parameters())
    layers = [sum(weight.numel() for weight in layer.parameters()) for layer in repeated_layers(model)]
    return every, every - sum(layers), max(layers)


def held(size: str, gpus: int) -> dict[str, float]:
    """GiB of weights, gradients and moments in one process, at most at one time, by `train.sharding`."""
    every, outside, largest = parameters_of(size)
    rest = STATE * every / gpus
    found = {
        "none": STATE * every,
        "grad": rest + WEIGHT * every + WEIGHT * (outside + largest),
        "full": rest + 2 * WEIGHT * (outside + 2 * largest),
    }
    return {kind: round(size / 2**30, 2) for kind, size in found.items()}


def sent(size: str, gpus: int) -> dict[str, float]:
    """GB that one process sends in a step, and receives, by `train.sharding`."""
    once = WEIGHT * parameters_of(size)[0] * (gpus - 1) / gpus / 1e9
    return {"none": round(2 * once, 2), "grad": round(2 * once, 2), "full": round(3 * once, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--links", nargs="+", type=float, default=[450, 32, 50, 12.5], help="GB/s in one direction")
    args = parser.parse_args()
    rows = []
    for size in args.sizes:
        for gpus in args.gpus:
            bytes_sent = sent(size, gpus)
            milliseconds = {f"{link:g} GB/s": round(1000 * bytes_sent["none"] / link, 1) for link in args.links}
            row = {"size": size, "gpus": gpus, "held_gib": held(size, gpus), "sent_gb": bytes_sent}
            rows.append({**row, "milliseconds_of_ddp": milliseconds})
            print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()

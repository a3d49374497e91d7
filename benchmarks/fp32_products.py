"""The three matrix products of a linear layer in fp32: PyTorch's, and oneDNN's of `ofakit.models.onednn`.

    python benchmarks/fp32_products.py [--threads 1] [--rounds 15]

Prints a Markdown table: GFLOP/s of each, from the median of rounds in which both are computed in turn, and the ratio.
Rows are states or pixels, as in a training step of OFA base with a batch of 8; the last layer is BART's vocabulary.
"""

from __future__ import annotations

import argparse
import functools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from unittest import mock

import torch
from ofakit.models import onednn
from torch import Tensor

SHAPES = ((448, 768, 768), (1600, 768, 768), (1600, 768, 3072), (1600, 3072, 768), (25088, 64, 256), (160, 768, 50465))
"""Rows, inputs and outputs."""


def products(rows: int, inputs: int, outputs: int) -> dict[str, tuple[Tensor, Tensor]]:
    """What is multiplied: forward, for the gradient of the states, and for that of the weight."""
    x, weight, grad = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(rows, outputs)
    return {"forward": (x, weight.t()), "states": (grad, weight), "weight": (grad.t(), x)}


def in_turn(calls: Sequence[Callable[[], Tensor]], rounds: int) -> list[float]:
    """The median seconds of each call."""
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(3 + rounds):
        for found, call in zip(seconds, calls, strict=True):
            began = time.perf_counter()
            call()
            if number >= 3:
                found.append(time.perf_counter() - began)
    return [statistics.median(found) for found in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {options.threads} threads; oneDNN is used here: {onednn.onednn_is_faster()}\n")
    print("| rows, inputs, outputs | product | PyTorch, GFLOP/s | oneDNN | ratio |\n|---|---|---|---|---|")
    with mock.patch.object(onednn, "onednn_is_faster", lambda: True):
        for shape in SHAPES:
            for name, factors in products(*shape).items():
                calls = [functools.partial(multiply, *factors) for multiply in (torch.mm, onednn.product)]
                usual, ours = in_turn(calls, options.rounds)
                work = 2 * math.prod(shape) / 1e9
                cells = [", ".join(map(str, shape)), name, f"{work / usual:.0f}", f"{work / ours:.0f}"]
                print("| " + " | ".join([*cells, f"{usual / ours:.2f}"]) + " |")


if __name__ == "__main__":
    main()

"""Memory and operations of a training step by size and image, counted.

python benchmarks/memory_by_size.py [--sizes tiny base] [--pixels 224 384 480] [--device cuda] [--operations]
    [--recompute] [--measure 8]

Weights, gradients and the two moments of AdamW are 16 bytes a parameter, whatever the precision. What a step keeps is
counted, tensor by tensor, at 1 and at 3 images on random weights: so much a batch has, so much each image adds. The
peak of a run is above that by what kernels need for a moment: `docs/memory.md` compares. With `--recompute` layers keep
their inputs alone; what one of them keeps while it is computed again comes on top. With `--operations` the
floating-point operations of products and convolutions are counted instead, forward and backward, for one image. With
`--measure N` a step of N images is made on the CPU, forward to AdamW, in a process of its own: seconds of the
processor, which other programs on the machine change little, and the peak of the process above what it had with the
weights alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from ofakit.models.gradient_checkpointing import recompute_layers
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.configuration import SIZES
from ofakit.models.onednn import use_onednn
from ofakit.models.precision import autocast
from ofakit.objectives import OBJECTIVES
from torch.utils.flop_counter import FlopCounterMode

BYTES_A_PARAMETER = 16
PROMPT, CAPTION = 10, 20
MIB = 2**20


def batch_of(images: int, pixels: int, device: str) -> dict[str, torch.Tensor]:
    """Random images with a prompt and a caption of usual length."""
    batch = {
        "input_ids": torch.full((images, PROMPT), 5),
        "patch_images": torch.randn(images, 3, pixels, pixels),
        "patch_masks": torch.ones(images, dtype=torch.bool),
        "decoder_input_ids": torch.full((images, CAPTION), 6),
        "target": torch.full((images, CAPTION), 7),
    }
    return {name: value.to(device) for name, value in batch.items()}


def kept(model: OFAModel, images: int, pixels: int, precision: str, device: str) -> int:
    """Bytes that the loss keeps for its backward pass, weights not counted."""
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    found: dict[int, tuple[torch.UntypedStorage, int]] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            found[storage._cdata] = (storage, storage.nbytes())
        return tensor

    objective, batch = OBJECTIVES.build({"type": "cross_entropy"}), batch_of(images, pixels, device)
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor), autocast(device, precision):
        objective(model, batch, objective.normalizer(batch), 1)
    return sum(size for _, size in found.values())


def measured(size: str, images: int, pixels: int, precision: str, again: bool) -> dict[str, object]:
    """Seconds and the peak of a step on the CPU, forward to AdamW."""
    model = OFAModel(OFAConfig.from_size(size)).train()
    use_onednn(model)
    if again:
        recompute_layers(model)
    objective, batch = OBJECTIVES.build({"type": "cross_entropy"}), batch_of(images, pixels, "cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(3):
        began = time.process_time()
        with autocast("cpu", precision):
            loss, _ = objective(model, batch, objective.normalizer(batch), 1)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "size": size, "images": images, "pixels": pixels, "precision": precision, "recompute": again,
        "processor_seconds": round(min(seconds), 2), "peak_mib": round(peak / 1024),
    }  # fmt: skip


def measured_apart(images: int, size: str, pixels: int, precision: str, again: bool) -> dict[str, object]:
    """`measured` in a process of its own, whose peak is that of this step alone."""
    arguments = f"{size!r}, {images}, {pixels}, {precision!r}, {again}"
    call = f"import json, memory_by_size; print(json.dumps(memory_by_size.measured({arguments})))"
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", call], cwd=folder, capture_output=True, text=True, encoding="utf-8", check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def operations(model: OFAModel, size: str, pixels: int, device: str) -> dict[str, object]:
    """Billions of operations that one image takes with prompt and caption; norms and AdamW count nothing."""
    objective, batch = OBJECTIVES.build({"type": "cross_entropy"}), batch_of(1, pixels, device)
    with FlopCounterMode(display=False) as counter:
        loss, _ = objective(model, batch, objective.normalizer(batch), 1)
        loss.backward()
    model.zero_grad(set_to_none=True)
    return {"size": size, "pixels": pixels, "gflop": round(counter.get_total_flops() / 1e9)}


def row(model: OFAModel, size: str, pixels: int, precision: str, device: str) -> dict[str, object]:
    """One line of the table."""
    one, three = (kept(model, images, pixels, precision, device) for images in (1, 3))
    each = (three - one) / 2
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "size": size, "pixels": pixels, "precision": precision, "parameters": parameters,
        "state_gib": round(BYTES_A_PARAMETER * parameters / 2**30, 2), "fixed_mib": round((one - each) / MIB),
        "image_mib": round(each / MIB),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--pixels", nargs="+", type=int, default=[224, 384, 480])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--operations", action="store_true")
    parser.add_argument("--recompute", action="store_true", help="layers keep only their inputs")
    parser.add_argument("--measure", type=int, metavar="N", help="make a step of N images on the CPU instead")
    args = parser.parse_args()
    rows = []
    if args.measure:
        for size, pixels, precision in itertools.product(args.sizes, args.pixels, args.precisions):
            rows.append(measured_apart(args.measure, size, pixels, precision, args.recompute))
            print(*(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
        print(json.dumps(rows))
        return
    for size in args.sizes:
        model = OFAModel(OFAConfig.from_size(size)).to(args.device).train()
        if args.recompute:
            recompute_layers(model)
        for pixels in args.pixels:
            for precision in args.precisions if not args.operations else ():
                rows.append(row(model, size, pixels, precision, args.device))
                print(*(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
            if args.operations:
                rows.append(operations(model, size, pixels, args.device))
                print(*(f"{name}={value}" for name, value in rows[-1].items()), flush=True)
        del model
    print(json.dumps(rows))


if __name__ == "__main__":
    main()

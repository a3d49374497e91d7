"""Our model in bf16 and fp16 beside itself in fp32 on one device: loss, logits, gradient, beam search.

    python benchmarks/precision_parity.py [--device cuda] [--size base] [--batch 16] [--precisions bf16 fp16]

Weights and images are random. The batch norms first take their statistics from the images, as those of any trained
model have: with the initial ones, which change nothing, every block of the backbone enlarges what it gets, and in the
29th of the 30 blocks of base it is beyond 65,504, where fp16 ends. `--fresh` leaves them so and shows that.

Everything is relative but the scores: mean log-probabilities of a token, of the hypotheses that fp32 finds best. In
another precision a search may find another sequence best; `same_best` is the share of images where it does not. The
gradient of the visual backbone stands apart and has no bound: rounding opens or closes ReLUs whose input is near zero,
and with random weights and some ninety of them in a row that changes most of it. In fp16 the loss is scaled as
`torch.amp.GradScaler` does, by the highest power of two that leaves the gradient finite. TF32 is off. Prints a row a
precision and, last, one JSON line; exit code 1 when a bound is passed or an image has no hypothesis.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from ofakit.models.ofa import OFAModel, autocast, generate, prepare_for_inference, score_sequences
from ofakit.models.precision import dtype_named
from ofakit.objectives.cross_entropy import CrossEntropy
from torch import Tensor, nn
from vs_stock import make_model, random_batch
from vs_stock_worker import IMAGE_AND_TEXT, prepare_device

BOUNDS = {"loss": 1.0, "logits": 32.0, "gradient": 32.0, "scores": 8.0, "without": 0.0}
"""In steps of the precision at 1: 1 / 128 in bf16, 1 / 1024 in fp16. `without` counts images without a hypothesis."""

SEARCH = {"num_beams": 5, "max_length": 16, "num_return_sequences": 5}
HIGHEST_SCALE = 2.0**16


def settle(model: OFAModel, images: Tensor) -> None:
    """Give every batch norm of the backbone the statistics of these images; afterwards the model is in eval mode.

    Args:
        model: With fresh batch norms.
        images: `(B, 3, H, W)`, normalised floats.
    """
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        model.visual_features(images)
    model.eval()


def gradients(model: OFAModel, batch: dict[str, Tensor], precision: str) -> tuple[float, Tensor, Tensor]:
    """Loss and the gradients, without dropout: those of the visual backbone in one vector, all others in another.

    Args:
        model: In eval mode.
        batch: On its device.
        precision: fp32, bf16 or fp16.
    """
    objective = CrossEntropy()
    scale = HIGHEST_SCALE if precision == "fp16" else 1.0
    while True:
        model.zero_grad()
        with autocast(model.output_embedding.device, precision):
            loss = objective(model, batch, objective.normalizer(batch), 0)[0]
        (loss.float() * scale).backward()
        parts: tuple[list[Tensor], list[Tensor]] = ([], [])
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                parts["embed_images" not in name].append(parameter.grad.flatten().float() / scale)
        visual, other = map(torch.cat, parts)
        if scale == 1 or bool(visual.isfinite().all() & other.isfinite().all()):
            return loss.item(), visual, other
        scale /= 2


class Magnitudes:
    """The largest number that any module gives, and the first module that gives one that is not finite.

    Args:
        model: Watched from now on.
    """

    def __init__(self, model: nn.Module) -> None:
        self.largest = torch.zeros((), device=model.output_embedding.device)
        self.first_not_finite: str | None = None
        for name, module in model.named_modules():
            module.register_forward_hook(lambda *call, name=name: self._note(name, call[-1]))

    def _note(self, name: str, output: Any) -> None:
        if self.first_not_finite is not None or not isinstance(output, Tensor) or not output.is_floating_point():
            return
        highest = output.detach().abs().max().float()
        if bool(highest.isfinite()):
            self.largest = torch.maximum(self.largest, highest)
        else:
            self.first_not_finite = name


def run(
    model: OFAModel, batch: dict[str, Tensor], precision: str, sequences: list[list[int]] | None = None
) -> dict[str, Any]:
    """Everything that is compared, in one precision.

    Args:
        model: In eval mode.
        batch: On its device.
        precision: fp32, bf16 or fp16.
        sequences: One for each image, to be scored; none: the best hypotheses.
    """
    inputs = {name: batch[name] for name in IMAGE_AND_TEXT}
    with torch.no_grad(), autocast(model.output_embedding.device, precision):
        logits = model(**inputs, decoder_input_ids=batch["decoder_input_ids"]).logits.float()
    loss, visual, other = gradients(model, batch, precision)
    fast = prepare_for_inference(model, precision)
    seen = Magnitudes(fast)
    hypotheses = generate(fast, inputs, **SEARCH)
    where = {"largest": seen.largest.item(), "not_finite": seen.first_not_finite}
    if sequences is None:
        sequences = [of_image[0].tokens for of_image in hypotheses]
    lengths = torch.tensor([len(tokens) for tokens in sequences])
    scores = score_sequences(fast, inputs, sequences).sum(1).cpu() / lengths
    apart = {"logits": logits, "gradient": other, "visual_gradient": visual, "scores": scores}
    return {"loss": loss, **apart, "hypotheses": hypotheses, "sequences": sequences, **where}


def compare(exact: dict[str, Any], rounded: dict[str, Any]) -> dict[str, Any]:
    """How far a precision is from fp32.

    Args:
        exact: What `run` gave in fp32.
        rounded: What it gave in another precision.
    """
    pairs = list(zip(exact["hypotheses"], rounded["hypotheses"], strict=True))
    found = {"loss": abs(rounded["loss"] - exact["loss"]) / exact["loss"]}
    for name in ("logits", "gradient", "visual_gradient"):
        found[name] = ((rounded[name] - exact[name]).norm() / exact[name].norm()).item()
    found["scores"] = (rounded["scores"] - exact["scores"]).abs().max().item()
    found["same_best"] = sum(bool(b) and a[0].tokens == b[0].tokens for a, b in pairs) / len(pairs)
    found["without"] = sum(not b for _, b in pairs)
    return {**found, "largest": rounded["largest"], "not_finite": rounded["not_finite"]}


def parse() -> argparse.Namespace:
    """The script's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--size", default="base")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp16"], choices=["bf16", "fp16"])
    parser.add_argument("--fresh", action="store_true", help="leave the batch norms as they are initialised")
    return parser.parse_args()


def main() -> None:
    options = parse()
    prepare_device("check")
    with tempfile.TemporaryDirectory() as folder:
        make_model(Path(folder) / "model", options.size)
        model = OFAModel.from_pretrained(Path(folder) / "model").to(options.device)
    batch = {name: value.to(options.device) for name, value in random_batch(options.batch).items()}
    if not options.fresh:
        settle(model, batch["patch_images"])
    exact = run(model, batch, "fp32")
    found = {}
    for precision in options.precisions:
        found[precision] = compare(exact, run(model, batch, precision, exact["sequences"]))
        shown = (f"{k} {v:.2e}" if isinstance(v, float) else f"{k} {v}" for k, v in found[precision].items())
        print(f"{options.size:6} {precision}", "  ".join(shown), flush=True)
    steps = {precision: torch.finfo(dtype_named(precision)).eps for precision in found}
    beyond = [f"{p}.{k}" for p, row in found.items() for k, most in BOUNDS.items() if not row[k] <= most * steps[p]]
    settings = {"device": options.device, "size": options.size, "batch": options.batch, "fresh": options.fresh}
    print(json.dumps({**settings, "bounds": BOUNDS, "beyond": beyond, **found}))
    raise SystemExit(1 if beyond else 0)


if __name__ == "__main__":
    main()

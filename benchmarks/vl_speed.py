"""VL-BART beside transformers' BART that reads the same regions as `inputs_embeds`: training steps and beam search.

    python benchmarks/vl_speed.py [--size base] [--rounds 9] [--precision fp32 bf16] [--device cuda]

Both have random weights of the same shapes, the same batch and the same AdamW, and their steps are taken in turn, so
that what else the machine does meets both; the medians of whole steps are compared, five to warm up. The peer computes
in fp32 and, under `torch.autocast`, in bf16; ours in bf16 as the trainer and the tools do, and once with adapters alone
learning. Beam search writes the same number of tokens on both sides. With `--rounds 0` the memory of a training step is
measured instead: all parameters beside adapters alone, each in a process of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from ofakit.models.adapters import add_adapters, trainable_share
from ofakit.models.generation import generate
from ofakit.models.onednn import use_onednn
from ofakit.models.precision import autocast
from ofakit.models.vl import VLConfig, VLModel
from ofakit.objectives import OBJECTIVES
from ofakit.trainers.host_memory import keep_freed_memory
from torch import Tensor, nn

REGIONS, WIDTH, PROMPT, CAPTION = 36, 2048, 20, 20
BEAMS = 5
SIZES = {"base": {"d_model": 768, "layers": 6, "heads": 12}, "tiny": {"d_model": 128, "layers": 2, "heads": 4}}
VOCABULARY = 50465


def shape_of(size: str) -> dict[str, int]:
    """What both sides call the same: vocabulary, widths, layers and heads."""
    width, layers, heads = (SIZES[size][name] for name in ("d_model", "layers", "heads"))
    sides = {"layers": layers, "attention_heads": heads, "ffn_dim": 4 * width}
    both = {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()}
    return {"vocab_size": VOCABULARY, "d_model": width, **both}


def batch_of(size: int, device: str) -> dict[str, Tensor]:
    """Random regions with a prompt and a caption."""
    torch.manual_seed(0)
    words = torch.randint(10, 50_000, (size, CAPTION + 1))
    batch = {
        "input_ids": torch.randint(10, 50_000, (size, PROMPT)),
        "vis_feats": torch.randn(size, REGIONS, WIDTH),
        "boxes": torch.rand(size, REGIONS, 4),
        "decoder_input_ids": words[:, :-1],
        "target": words[:, 1:],
    }
    return {name: value.contiguous().to(device) for name, value in batch.items()}


class Ours:
    """This project's model and objective."""

    def __init__(self, size: str, device: str, precision: str) -> None:
        config = VLConfig(model_type="bart", feat_dim=WIDTH, **shape_of(size))
        self.model = VLModel(config).to(device)
        self.objective = OBJECTIVES.build({"type": "cross_entropy", "label_smoothing": 0.0})
        self.device, self.precision = device, precision

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        with autocast(self.device, self.precision):
            return self.objective(self.model, batch, self.objective.normalizer(batch), 1)[0]

    def searcher(self) -> Callable[[dict[str, Tensor]], int]:
        """Beam search; returns how many tokens it wrote, the start token included."""
        model = self.model.prepare_for_inference(self.precision)
        settings = {"num_beams": BEAMS, "max_length": CAPTION, "min_length": CAPTION}
        return lambda batch: 1 + min(len(found[0].tokens) for found in generate(model, batch, **settings))


def with_adapters(side: Ours) -> Ours:
    """The same with bottlenecks of an eighth of the width, the rest frozen."""
    add_adapters(side.model, {"type": "bottleneck", "reduction": 8})
    return side


class BartOnRegions(nn.Module):
    """transformers' BART behind a projection of regions and boxes."""

    def __init__(self, size: str) -> None:
        from transformers import BartConfig, BartForConditionalGeneration

        super().__init__()
        config = BartConfig(**shape_of(size))
        self.bart = BartForConditionalGeneration(config)
        self.features = nn.Sequential(nn.Linear(WIDTH, config.d_model), nn.LayerNorm(config.d_model))
        self.places = nn.Sequential(nn.Linear(5, config.d_model), nn.LayerNorm(config.d_model))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """What BART's encoder reads."""
        boxes = batch["boxes"]
        area = ((boxes[..., 3] - boxes[..., 1]) * (boxes[..., 2] - boxes[..., 0]))[..., None]
        seen = self.features(batch["vis_feats"]) + self.places(torch.cat([boxes, area], -1))
        return torch.cat([self.bart.get_input_embeddings()(batch["input_ids"]), seen], 1)


class Peer:
    """transformers' model and its own loss and search."""

    def __init__(self, size: str, device: str, precision: str) -> None:
        self.model = BartOnRegions(size).to(device)
        half = precision == "bf16"
        self.context = lambda: torch.autocast(device, torch.bfloat16) if half else contextlib.nullcontext()

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        with self.context():
            given = {"decoder_input_ids": batch["decoder_input_ids"], "labels": batch["target"]}
            return self.model.bart(inputs_embeds=self.model(batch), **given).loss

    def searcher(self) -> Callable[[dict[str, Tensor]], int]:
        self.model.eval()
        settings = {"num_beams": BEAMS, "max_length": CAPTION, "min_length": CAPTION, "do_sample": False}

        def search(batch: dict[str, Tensor]) -> int:
            with torch.no_grad(), self.context():
                seen = self.model(batch)
                mask = torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device)
                return self.model.bart.generate(inputs_embeds=seen, attention_mask=mask, **settings).shape[1]

        return search


def finish(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def training(side: Ours | Peer, batch: dict[str, Tensor]) -> Callable[[], None]:
    """One step, forward to AdamW."""
    if isinstance(side, Ours):
        use_onednn(side.model)
    side.model.train()
    learnt = [parameter for parameter in side.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=1e-5, fused=isinstance(side, Ours))

    def step() -> None:
        side.loss(batch).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def in_turn(sides: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each side's calls, taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(5 + rounds):
        for name, call in sides.items():
            began = time.perf_counter()
            call()
            finish(device)
            if number >= 5:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def report(measure: str, seconds: dict[str, list[float]], options: argparse.Namespace) -> None:
    """One line: medians, their ratio to the peer in fp32, and the smallest and largest ratio of a round."""
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    ratios = {}
    for name in middle:
        if name.startswith("ours"):
            each = [theirs / own for theirs, own in zip(seconds["peer fp32"], seconds[name], strict=True)]
            ratios[name] = {"of_medians": middle["peer fp32"] / middle[name], "rounds": [min(each), max(each)]}
    about = {"measure": measure, "size": options.size, "batch": options.batch, "threads": torch.get_num_threads()}
    print(json.dumps({**about, "seconds": middle, "peer_fp32_over": ratios}), flush=True)


def memory(options: argparse.Namespace) -> None:
    """Peak bytes of a step above what the process had after its imports: all parameters, and adapters alone."""
    found = {}
    for kind in ("full", "adapters"):
        command = [sys.executable, __file__, "--size", options.size, "--batch", str(options.batch), "--memory-of", kind]
        found[kind] = json.loads(subprocess.run(command, capture_output=True, check=True, encoding="utf-8").stdout)
    print(json.dumps({"measure": "memory", "size": options.size, **found,
                      "adapters_over_full": found["adapters"]["bytes"] / found["full"]["bytes"]}))  # fmt: skip


def memory_of(options: argparse.Namespace) -> None:
    """The peak of the third step, in this process."""
    torch.randn(1, requires_grad=True).sum().backward()
    before = resident("VmRSS")
    keep_freed_memory()
    side = Ours(options.size, "cpu", "fp32")
    if options.memory_of == "adapters":
        side = with_adapters(side)
    share = trainable_share(side.model)
    step = training(side, batch_of(options.batch, "cpu"))
    step(), step()
    with open("/proc/self/clear_refs", "w", encoding="ascii") as peak:
        peak.write("5")
    step()
    print(json.dumps({"bytes": resident("VmHWM") - before, "trainable_share": share}))


def resident(field: str) -> int:
    """Bytes that the kernel says this process has."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9, help="0: measure memory instead")
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--memory-of", choices=("full", "adapters"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        return memory_of(options)
    if not options.rounds:
        return memory(options)
    keep_freed_memory()
    batch = batch_of(options.batch, options.device)
    sides: dict[str, Ours | Peer] = {}
    for precision in dict.fromkeys(["fp32", *options.precision]):
        sides[f"peer {precision}"] = Peer(options.size, options.device, precision)
        sides[f"ours {precision}"] = Ours(options.size, options.device, precision)
    steps = {name: training(side, batch) for name, side in sides.items()}
    adapted = with_adapters(Ours(options.size, options.device, "fp32"))
    steps["ours fp32, adapters"] = training(adapted, batch)
    report("train", in_turn(steps, options.rounds, options.device), options)
    del steps, adapted
    searchers = {name: side.searcher() for name, side in sides.items()}
    written = {name: search(batch) for name, search in searchers.items()}
    if len(set(written.values())) > 1:
        print(f"tokens written: {written}", file=sys.stderr)
    calls = {name: (lambda search=search: search(batch)) for name, search in searchers.items()}
    report("generate", in_turn(calls, options.rounds, options.device), options)


if __name__ == "__main__":
    main()

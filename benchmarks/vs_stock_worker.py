"""One measurement of one side of `vs_stock.py`, in a process of its own; prints one JSON line.

    python vs_stock_worker.py {ours,stock} MEASURE MODEL_DIR BATCH_FILE [--precision bf16] [--device cuda] ...

`ours` runs with this project's Python, `stock` with the Python of the stock environment; neither imports the other's
code. Both get the same weights, the same batch and the same optimizer settings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable

import torch

SEARCH = {"beam_size": 5, "max_len_b": 16, "min_len": 1, "no_repeat_ngram_size": 3}
IMAGE_AND_TEXT = ("input_ids", "patch_images", "patch_masks")
COMPARED = ("loss", "hypotheses", "check")
"""Measures whose numbers are held against the other side's."""


class Ours:
    """This project's model, objective and settings."""

    def __init__(self, directory: str, precision: str, device: str = "cpu") -> None:
        from ofakit.models.ofa import OFAModel, autocast
        from ofakit.models.onednn import use_onednn
        from ofakit.objectives.cross_entropy import CrossEntropy

        self.model = OFAModel.from_pretrained(directory).to(device)
        use_onednn(self.model)
        self.objective = CrossEntropy()
        self.context = lambda: autocast(device, precision)

    def optimizer(self) -> torch.optim.Optimizer:
        """What the trainer sets up before it trains."""
        from ofakit.trainers.host_memory import keep_freed_memory

        keep_freed_memory()
        return torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)

    def loss(self, batch: dict, step: int = 0) -> torch.Tensor:
        with self.context():
            return self.objective(self.model, batch, self.objective.normalizer(batch), step)[0]

    def generator(self, precision: str) -> Callable[[dict], list[list[tuple[list[int], float]]]]:
        """Beam search with a model prepared as the tools prepare it; preparing is not part of the work."""
        from ofakit.models.ofa import generate, prepare_for_inference

        fast = prepare_for_inference(self.model, precision)
        names = {"num_beams": "beam_size", "max_length": "max_len_b", "min_length": "min_len"}
        settings = {ours: SEARCH[stock] for ours, stock in names.items()}
        settings |= {"no_repeat_ngram_size": SEARCH["no_repeat_ngram_size"], "num_return_sequences": 5}
        return lambda batch: [[(h.tokens, h.score) for h in one] for one in generate(fast, batch, **settings)]


class Stock:
    """ModelScope's model and criterion; its own mixed precision has no effect, so bf16 is put around its forward."""

    def __init__(self, directory: str, precision: str, device: str = "cpu") -> None:
        from modelscope.models.multi_modal.ofa.modeling_ofa import OFAModel
        from modelscope.trainers.multi_modal.ofa.ofa_trainer_utils import AdjustLabelSmoothedCrossEntropyCriterion
        from modelscope.utils.config import ConfigDict

        class Tokenizer:
            pad_token_id = 1

        class Wrapper(torch.nn.Module):
            def __init__(self, model: torch.nn.Module) -> None:
                super().__init__()
                self.model = model

        self.model = OFAModel.from_pretrained(directory).to(device)
        self.wrapper = Wrapper(self.model)
        self.criterion = AdjustLabelSmoothedCrossEntropyCriterion(
            ConfigDict({"label_smoothing": 0.1, "tokenizer": Tokenizer()})
        )
        half = precision == "bf16"
        self.context = lambda: torch.autocast(device, torch.bfloat16) if half else contextlib.nullcontext()

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.model.parameters(), lr=1e-5)

    def loss(self, batch: dict, step: int = 0) -> torch.Tensor:
        names = ("input_ids", "patch_images", "patch_masks", "decoder_input_ids")
        tokens = int((batch["target"] != 1).sum())
        sample = {"net_input": {name: batch[name] for name in names}, "target": batch["target"], "ntokens": tokens}
        with self.context():
            return self.criterion(self.wrapper, {**sample, "nsentences": len(batch["target"])}, update_num=step)[0]

    def generator(self, precision: str) -> Callable[[dict], list[list[tuple[list[int], float]]]]:
        from modelscope.models.multi_modal.ofa.generate.sequence_generator import SequenceGenerator

        search = SequenceGenerator(tokenizer=StockVocabulary(self.model.config.vocab_size), **SEARCH)
        self.model.eval()

        def generate(batch: dict) -> list[list[tuple[list[int], float]]]:
            with self.context():
                found = search.generate([self.model], {"net_input": {name: batch[name] for name in IMAGE_AND_TEXT}})
            return [[(h["tokens"].tolist(), float(h["score"])) for h in one] for one in found]

        return generate


class StockVocabulary:
    """What the stock generator asks of a tokenizer.

    Args:
        size: How many tokens there are.
    """

    bos_token_id, pad_token_id, eos_token_id, unk_token_id = 0, 1, 2, 3

    def __init__(self, size: int) -> None:
        self.size = size

    def get_vocab(self) -> dict[str, int]:
        return {str(token): token for token in range(self.size)}

    def get_added_vocab(self) -> dict[str, int]:
        return {}


def prepare_device(measure: str) -> None:
    """Let numbers that both sides must share be computed in plain fp32; what is timed keeps PyTorch's own settings.

    By default a GPU convolves fp32 in TF32, whose three digits depend on the layout and the algorithm.

    Args:
        measure: What is about to be measured.
    """
    if measure in COMPARED:
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def finish(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def train_step(side: Ours | Stock, batch: dict, device: str = "cpu") -> Callable[[], None]:
    """Forward, loss, backward, AdamW, and freeing the gradients, in train mode with the model's own dropout."""
    side.model.train()
    optimizer = side.optimizer()

    def step() -> None:
        side.loss(batch).backward()
        optimizer.step()
        optimizer.zero_grad()
        finish(device)

    return step


def measure_loss(side: Ours | Stock, batch: dict, _: argparse.Namespace) -> dict:
    """The loss in eval mode."""
    side.model.eval()
    with torch.no_grad():
        return {"loss": side.loss(batch).item()}


def measure_train(side: Ours | Stock, batch: dict, options: argparse.Namespace) -> dict:
    """Median seconds of a training step after five for warming up; memory still grows in the first ones."""
    step = train_step(side, batch, options.device)
    for _ in range(5):
        step()
    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "all": [round(s, 4) for s in seconds]}


def resident(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))


def measure_memory(side: Ours | Stock, batch: dict, options: argparse.Namespace) -> dict:
    """Peak bytes during the third training step: of the process, less what it held after its imports, or of the GPU.

    The process's peak is the kernel's high-water mark (VmHWM), set back before the step. Either counts weights,
    gradients, optimizer state, activations and everything temporary.
    """
    step = train_step(side, batch, options.device)
    step(), step()
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        step()
        return {"bytes": torch.cuda.max_memory_allocated()}
    with open("/proc/self/clear_refs", "w", encoding="ascii") as peak:
        peak.write("5")
    step()
    return {"bytes": resident("VmHWM") - options.baseline}


def measure_hypotheses(side: Ours | Stock, batch: dict, options: argparse.Namespace) -> dict:
    """Every hypothesis of beam search with 5 beams."""
    with torch.no_grad():
        return {"hypotheses": side.generator(options.precision)(batch)}


def measure_generate(side: Ours | Stock, batch: dict, options: argparse.Namespace) -> dict:
    """Median seconds of beam search for the batch, images and texts to token ids, after two for warming up."""
    generate = side.generator(options.precision)
    seconds = []
    with torch.no_grad():
        for _ in range(options.repeats + 2):
            start = time.perf_counter()
            generate(batch)
            finish(options.device)
            seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds[2:]), "all": [round(s, 4) for s in seconds]}


def measure_operations(side: Ours | Stock, batch: dict, _: argparse.Namespace) -> dict:
    """Floating-point operations of a training step: three times those of the loss, nothing counted that is done again.

    Source of the convention: Chowdhery et al. 2022, https://arxiv.org/abs/2204.02311, appendix B.
    """
    from torch.utils.flop_counter import FlopCounterMode

    side.model.eval().requires_grad_(False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        side.loss(batch)
    return {"operations": 3 * counter.get_total_flops()}


def measure_peak(_: Ours | Stock, __: dict, options: argparse.Namespace) -> dict:
    """Operations a second of the device in a product of large square matrices, best of several."""
    width = 8192 if options.device == "cuda" else 2048
    kind = torch.bfloat16 if options.precision == "bf16" else torch.float32
    a, b = (torch.randn(width, width, device=options.device).to(kind) for _ in range(2))
    seconds = []
    for _ in range(options.repeats + 5):
        start = time.perf_counter()
        a @ b
        finish(options.device)
        seconds.append(time.perf_counter() - start)
    return {"operations_per_second": 2 * width**3 / min(seconds)}


MEASURES = {
    "loss": measure_loss,
    "train": measure_train,
    "memory": measure_memory,
    "hypotheses": measure_hypotheses,
    "generate": measure_generate,
    "operations": measure_operations,
    "peak": measure_peak,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["ours", "stock"])
    parser.add_argument("measure", choices=list(MEASURES))
    parser.add_argument("directory")
    parser.add_argument("batch")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    prepare_device(options.measure)
    if options.side == "ours":
        import ofakit.models.ofa.model
        import ofakit.objectives.cross_entropy  # noqa: F401
        import timm.models.resnet  # noqa: F401
    else:
        import modelscope.models.multi_modal.ofa.modeling_ofa
        import modelscope.trainers.multi_modal.ofa.ofa_trainer_utils  # noqa: F401
    options.baseline = resident("VmRSS")
    side = (Ours if options.side == "ours" else Stock)(options.directory, options.precision, options.device)
    batch = torch.load(options.batch, weights_only=True, map_location=options.device)
    print(json.dumps(MEASURES[options.measure](side, batch, options)))


if __name__ == "__main__":
    main()

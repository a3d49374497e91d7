"""What would make a step or a search faster on a GPU, tried without a change of the package; for `gpu_profile.py`.

An experiment takes a `Setting` and gives seconds to be held against those of the plain step in the same run. CUDA
graphs replay the device's work without Python: what they leave is what the device alone needs.
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from vs_stock import random_batch
from vs_stock_worker import Ours, finish, train_step

__all__ = ["EXPERIMENTS", "Setting"]


@dataclass(frozen=True)
class Setting:
    """What an experiment works on.

    Attributes:
        directory: The model's.
        batch: On the device.
        device: cpu or cuda.
        precision: fp32 or bf16.
        repeats: Timed calls.
    """

    directory: str
    batch: dict[str, Tensor]
    device: str
    precision: str
    repeats: int

    def side(self, precision: str | None = None) -> Ours:
        """Fresh weights with their objective, in training mode.

        Args:
            precision: Another one than the setting's.
        """
        side = Ours(self.directory, precision or self.precision, self.device)
        side.model.train()
        return side

    def seconds(self, function: Callable[[], Any], warm: int = 3) -> float:
        """Median seconds of a call, the device's work included.

        Args:
            function: What to time.
            warm: Calls before the timed ones.
        """
        found = []
        for _ in range(warm + self.repeats):
            finish(self.device)
            start = time.perf_counter()
            function()
            finish(self.device)
            found.append(time.perf_counter() - start)
        return statistics.median(found[warm:])


def plain(setting: Setting) -> dict:
    """The step as it is, for comparison."""
    return {"seconds": setting.seconds(train_step(setting.side(), setting.batch, setting.device))}


def cudnn_benchmark(setting: Setting) -> dict:
    """cuDNN tries its algorithms and keeps the fastest."""
    torch.backends.cudnn.benchmark = True
    try:
        return plain(setting)
    finally:
        torch.backends.cudnn.benchmark = False


def fp32_in_tf32(setting: Setting) -> dict:
    """fp32 with products in TF32, as convolutions have them by default."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        step = train_step(setting.side("fp32"), setting.batch, setting.device)
        return {"seconds": setting.seconds(step)}
    finally:
        torch.set_float32_matmul_precision(before)


def batch_times_four(setting: Setting) -> dict:
    """Four times the examples: where launches set the pace, images a second rise."""
    size = 4 * len(setting.batch["input_ids"])
    batch = {name: value.to(setting.device) for name, value in random_batch(size).items()}
    seconds = setting.seconds(train_step(setting.side(), batch, setting.device))
    return {"seconds": seconds, "images_per_second": size / seconds}


def pure_bf16(setting: Setting) -> dict:
    """All weights in bf16 and no autocast, so that nothing is cast."""
    side = setting.side()
    side.model.to(torch.bfloat16)
    side.context = contextlib.nullcontext
    batch = {**setting.batch, "patch_images": setting.batch["patch_images"].bfloat16()}
    return {"seconds": setting.seconds(train_step(side, batch, setting.device))}


def without_dropout(setting: Setting) -> dict:
    """No dropout at all."""
    side = setting.side()
    for module in side.model.modules():
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
        if isinstance(getattr(module, "drop_path_rate", None), float):
            module.drop_path_rate = 0.0
    return {"seconds": setting.seconds(train_step(side, setting.batch, setting.device))}


def attention_kernels(setting: Setting) -> dict:
    """The step with each of PyTorch's attention kernels that takes our biases."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    found: dict[str, Any] = {}
    step = train_step(setting.side(), setting.batch, setting.device)
    for name in ("MATH", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"):
        try:
            with sdpa_kernel([getattr(SDPBackend, name)]):
                found[name.lower()] = setting.seconds(step, warm=2)
        except RuntimeError as error:
            found[name.lower()] = str(error)[:80]
    return found


@contextlib.contextmanager
def _answers_kept(fresh: bool, kept: list[Any]) -> Iterator[None]:
    """Python's questions to tensors are asked once and answered from memory later: a graph cannot be asked.

    Args:
        fresh: Whether to ask and keep the answers, in order, or to give those that were kept.
        kept: The answers.
    """
    given = iter(list(kept))

    def question(asked: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        def answer(tensor: Tensor) -> Any:
            if not fresh:
                return next(given)
            kept.append(asked(tensor))
            return kept[-1]

        return answer

    asked = {"__bool__": bool, "__int__": int, "__float__": float}
    own = {name: getattr(torch._C.TensorBase, name) for name in asked}
    with contextlib.ExitStack() as stack:
        for name, method in own.items():
            stack.enter_context(mock.patch.object(Tensor, name, question(method), create=True))
        yield


def _capture(work: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> torch.cuda.CUDAGraph:
    """A graph of what `work` does on the device, after three runs of it beside the main stream.

    Args:
        work: Without questions to tensors but those of type bool, int and float.
        before: Called before each run and before the capture, outside of it.
    """
    kept: list[Any] = []
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            kept.clear()
            before()
            with _answers_kept(True, kept):
                work()
    torch.cuda.current_stream().wait_stream(stream)
    before()
    graph = torch.cuda.CUDAGraph()
    with _answers_kept(False, kept), torch.cuda.graph(graph):
        work()
    torch.cuda.synchronize()
    return graph


def _without_questions(side: Ours, batch: dict[str, Tensor]) -> Callable[[], Tensor]:
    """The loss of `Ours.loss`, from positions of targets that are known before."""
    from ofakit.objectives.cross_entropy import label_smoothed_cross_entropy

    model = side.model
    for part in (model.encoder, model.decoder):
        part.embed_tokens.padding_idx = None
    there = (batch["target"] != 1).flatten().nonzero()[:, 0]
    target = batch["target"].flatten()[there]
    shown = {name: batch[name] for name in ("input_ids", "patch_images", "patch_masks")}

    def loss() -> Tensor:
        with side.context():
            hidden = model.decode(batch["decoder_input_ids"], model.encode(**shown)).flatten(0, 1)
            states = hidden.index_select(0, there)
            return label_smoothed_cross_entropy(states, model.output_embedding, target, 0.1, 1 / len(there))[0]

    return loss


def graphed_step(setting: Setting) -> dict:
    """Forward and backward as one CUDA graph, then AdamW: the step without launches, of batches of one shape."""
    side = setting.side()
    optimizer, loss = side.optimizer(), _without_questions(side, setting.batch)
    eager = setting.seconds(lambda: (loss().backward(), optimizer.step(), optimizer.zero_grad()))
    graph = _capture(lambda: loss().backward(), lambda: optimizer.zero_grad(set_to_none=True))
    replayed = setting.seconds(graph.replay)
    return {"eager": eager, "replay": replayed, "seconds": setting.seconds(lambda: (graph.replay(), optimizer.step()))}


def graphed_backbone(setting: Setting) -> dict:
    """The visual backbone alone as CUDA graphs, one forward and one backward; the rest as it is."""
    from ofakit.models.ofa.vision import visual_features

    class Backbone(nn.Module):
        def __init__(self, resnet: nn.Module) -> None:
            super().__init__()
            self.resnet = resnet

        def forward(self, images: Tensor) -> Tensor:
            return visual_features(self.resnet, images)

    side = setting.side()
    backbone = Backbone(side.model.encoder.embed_images)
    with torch.autocast(setting.device, torch.bfloat16, cache_enabled=False):
        graphed = torch.cuda.make_graphed_callables(backbone, (setting.batch["patch_images"].clone(),))
    side.model.encoder.visual_features = lambda images: graphed(images)
    return {"seconds": setting.seconds(train_step(side, setting.batch, setting.device))}


def graphed_generate(setting: Setting) -> dict:
    """The whole search as one CUDA graph, without reading its result: what captions cost without launches."""
    from ofakit.models.generation.beam_search import BeamSearch

    generate = setting.side().generator(setting.precision)
    eager = setting.seconds(lambda: generate(setting.batch))
    blind = mock.patch.object(BeamSearch, "count_live", lambda *_: None)
    mute = mock.patch.object(BeamSearch, "collect", lambda *_: None)
    with blind, mute:
        graph = _capture(lambda: generate(setting.batch))
    return {"eager": eager, "seconds": setting.seconds(graph.replay)}


def _compiled(setting: Setting, side: Ours, modules: Iterable[nn.Module]) -> dict:
    """Seconds of the first step, in which modules are compiled, and of those that follow."""
    torch._logging.set_logs(all=logging.ERROR)
    for module in modules:
        module.compile()
    step = train_step(side, setting.batch, setting.device)
    start = time.perf_counter()
    step()
    return {"first": time.perf_counter() - start, "seconds": setting.seconds(step)}


def compiled_layers(setting: Setting) -> dict:
    """Encoder's and decoder's layers through torch.compile."""
    side = setting.side()
    return _compiled(setting, side, [*side.model.encoder.layers, *side.model.decoder.layers])


def compiled_blocks(setting: Setting) -> dict:
    """The backbone's blocks through torch.compile, with plain batch norms."""
    side = setting.side()
    resnet = side.model.encoder.embed_images
    for module in resnet.modules():
        if isinstance(module, nn.BatchNorm2d) and setting.device == "cuda":
            module.__class__ = nn.BatchNorm2d
    return _compiled(setting, side, [*resnet.layer1, *resnet.layer2, *resnet.layer3])


EXPERIMENTS: dict[str, tuple[Callable[[Setting], dict], bool]] = {
    "plain": (plain, False),
    "cudnn_benchmark": (cudnn_benchmark, False),
    "fp32_in_tf32": (fp32_in_tf32, False),
    "batch_times_four": (batch_times_four, False),
    "pure_bf16": (pure_bf16, False),
    "without_dropout": (without_dropout, False),
    "attention_kernels": (attention_kernels, False),
    "graphed_step": (graphed_step, False),
    "graphed_generate": (graphed_generate, False),
    "graphed_backbone": (graphed_backbone, False),
    "compiled_layers": (compiled_layers, True),
    "compiled_blocks": (compiled_blocks, True),
}
"""Every experiment, and whether it compiles, which takes long."""

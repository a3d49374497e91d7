"""What a run would be, without training: what it trains on which device, how many steps, and one example.

    outlook = dry_run(load_config("configs/quickstart.json"))
    outlook["steps"], outlook["memory"]["total_bytes"], outlook["example"]

Nothing is written into the run directory: what has to be written lies in a folder that is removed at the end. Images
are decoded for a few examples only, so that bad ones among the others are not left out of what is counted.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ofakit.config import ExperimentConfig
from ofakit.config.stage_experiments import stage_experiments
from ofakit.data import BadImage, ExampleDataset
from ofakit.data.reading import data_root
from ofakit.errors import UsageError
from ofakit.hub import ModelBundle
from ofakit.objectives.base import Objective
from ofakit.preprocessors.views import with_views
from ofakit.trainers.memory_estimate import MemoryEstimate, estimate_memory
from ofakit.trainers.named_objectives import build_objectives
from ofakit.trainers.optimization import build_optimizer, build_scheduler
from ofakit.trainers.trainer import Trainer
from ofakit.trainers.update import Updater, WeightedObjectives

__all__ = ["dry_run"]

TRIED = 4
"""Examples that are decoded and go through the model forward and backward."""
LOOKED_AT = 100
"""Examples among which those are looked for, where images are bad."""


def dry_run(config: ExperimentConfig, device: str | None = None, checkpoint: str | None = None) -> dict[str, Any]:
    """Get ready as a run does, make the gradient of a few examples, and say what was found.

    Args:
        config: The experiment; it is left as it was.
        device: Where to compute; None takes a GPU where there is one.
        checkpoint: A model directory or snapshot whose weights to start with.

    Returns:
        `device`, `precision`, `parameters`, `examples` by split, `steps`, `memory` and `example`; with stages those of
        the first, the steps of all, and a list `stages` of each with its `name`.

    Raises:
        UsageError: As a run would.
    """
    with tempfile.TemporaryDirectory(prefix="ofakit-dry-run-", ignore_cleanup_errors=True) as folder:
        if not config.stages:
            return _outlook(_moved(config, folder), device, checkpoint)[0]
        found: list[dict[str, Any]] = []
        bundle = None
        for stage, experiment in zip(config.stages, stage_experiments(config), strict=True):
            experiment.data = experiment.data.model_copy(update={"root": data_root(config)})
            outlook, bundle = _outlook(_moved(experiment, folder), device, None if found else checkpoint, bundle)
            found.append({"name": stage.name, **outlook})
        first = {key: value for key, value in found[0].items() if key != "name"}
        return {**first, "steps": sum(outlook["steps"] for outlook in found), "stages": found}


def _moved(config: ExperimentConfig, folder: str) -> ExperimentConfig:
    """The experiment with its run directory elsewhere; data that it has generated before are found where they are."""
    moved = config.model_copy(deep=True, update={"work_dir": folder})
    root = data_root(config)
    if root is not None and Path(root).is_dir():
        moved.data = moved.data.model_copy(update={"root": root})
    return moved


def _outlook(
    config: ExperimentConfig, device: str | None, checkpoint: str | None, bundle: ModelBundle | None = None
) -> tuple[dict[str, Any], ModelBundle]:
    """What one training would be, and the model that it starts from."""
    trainer = Trainer(model=bundle, experiment=config, device=device)
    if not trainer.examples.get("train"):
        raise UsageError("there is nothing to train on: the training split is empty or was not given")
    if checkpoint is not None:
        trainer.bundle.take_weights(Path(checkpoint), allow_partial=config.model.allow_partial)
    loading, train = trainer.loading, trainer.experiment.train
    objectives, weights = build_objectives(trainer.experiment, trainer.bundle)
    left_out = loading.plan_training(trainer.examples["train"], objectives)
    counted = len(loading.training_examples)
    examples = _sound_examples(trainer)
    _prepare(objectives, examples, trainer)
    preprocessor = with_views(loading.preprocessors["train"], objectives)
    dataset = ExampleDataset(examples, preprocessor, None, config.seed)
    samples = [dataset[place] for place in range(len(examples))]
    memory = _memory(trainer, objectives, weights, samples)
    outlook = {
        "device": _device_words(trainer.device),
        "processes": trainer.processes.world_size,
        "precision": train.precision,
        "parameters": _parameters(trainer.model),
        "examples": {split: len(found) for split, found in trainer.examples.items()},
        "training_examples": counted,
        "left_out": left_out,
        "batch_size": train.dataloader.batch_size_per_gpu,
        "examples_per_step": _examples_per_step(trainer),
        "steps_per_epoch": trainer.iters_per_epoch,
        "steps": trainer.max_iters,
        "objectives": list(objectives),
        "memory": {f"{name}_bytes": size for name, size in _sizes(memory).items()}
        | {"counted_with_examples": memory.counted_with},
        "example": trainer.task.shown(trainer.bundle, examples[0], samples[0]),
    }
    return outlook, trainer.bundle


def _prepare(objectives: Mapping[str, Objective], tried: Sequence[Any], trainer: Trainer) -> None:
    """Let objectives get ready; the examples that are tried stand before all others, as `index` will have it."""
    known, folder = set(map(id, tried)), Path(trainer.work_dir)
    every = [*tried, *(example for example in trainer.loading.training_examples if id(example) not in known)]
    for objective in objectives.values():
        objective.prepare(tried if objective.prepares_each_example else every, trainer.bundle, folder)
        objective.begin(trainer.bundle, folder, False)


def _sound_examples(trainer: Trainer) -> list[Any]:
    """The first few training examples whose images can be decoded."""
    chosen = trainer.loading.training_examples[:LOOKED_AT]
    dataset = ExampleDataset(chosen, trainer.loading.preprocessors["train"], None, trainer.experiment.seed)
    reasons: list[str] = []

    def sound() -> Iterator[Any]:
        for place, example in enumerate(chosen):
            try:
                dataset[place]
            except BadImage as error:
                reasons.append(str(error))
            else:
                yield example

    found = list(islice(sound(), TRIED))
    if not found:
        raise UsageError(f"none of the first {len(chosen)} training examples has a sound image: {reasons[0]}")
    return found


def _memory(
    trainer: Trainer, objectives: Mapping[str, Objective], weights: Sequence[float], samples: Sequence[dict[str, Any]]
) -> MemoryEstimate:
    """What a step takes, from the gradients of a few examples."""
    train = trainer.experiment.train
    module = WeightedObjectives(trainer.model, objectives, weights, train.precision)
    of_losses = [name for objective in objectives.values() for name in objective.parameters]
    optimizer = build_optimizer(trainer.model, train.optimizer, of_losses)
    scheduler = build_scheduler(optimizer, train.lr_scheduler, trainer.max_iters)
    updater = Updater(module, optimizer, scheduler, trainer.processes, train.clip_norm, train.max_bad_steps)
    collate = trainer.loading.collators["train"]
    trainer.model.train()

    def backward(some: Sequence[Any]) -> None:
        updater.gradients([trainer.task.move(trainer.bundle, collate(some), trainer.device)], 0)

    return estimate_memory(trainer.model, backward, samples, train.dataloader.batch_size_per_gpu)


def _sizes(memory: MemoryEstimate) -> dict[str, int]:
    sizes = {name: size for name, size in dataclasses.asdict(memory).items() if name != "counted_with"}
    return {**sizes, "total": memory.total}


def _parameters(model: torch.nn.Module) -> dict[str, int]:
    """How many there are, and how many of them learn."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return {"all": sum(size for size, _ in sizes), "learning": sum(size for size, learns in sizes if learns)}


def _examples_per_step(trainer: Trainer) -> int:
    train = trainer.experiment.train
    return train.dataloader.batch_size_per_gpu * train.gradient_accumulation * trainer.processes.world_size


def _device_words(device: torch.device) -> str:
    """The device, and of a GPU its name."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)

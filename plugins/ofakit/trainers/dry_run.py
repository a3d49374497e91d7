"""What a run would be, without training: what it trains on which device, how many steps, and one example.

    outlook = dry_run(load_config("configs/quickstart.json"))
    outlook["steps"], outlook["memory"]["total_bytes"], outlook["example"]

Nothing is written into the run directory: what has to be written lies in a folder that is removed at the end. Images
are decoded for a few examples only, so that bad ones among the others are not left out of what is counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ofakit.config import ExperimentConfig
from ofakit.config.stage_experiments import stage_experiments
from ofakit.data import BadImage, ExampleDataset
from ofakit.data.reading import data_root
from ofakit.errors import UsageError
from ofakit.hub import ModelBundle
from ofakit.objectives.base import Objective
from ofakit.preprocessors.views import with_views
from ofakit.trainers.memory_estimate import MemoryEstimate, estimate_memory
from ofakit.trainers.named_objectives import objectives_of_parts, parameters_of_losses
from ofakit.trainers.optimization import build_optimizer, build_scheduler
from ofakit.trainers.run_plan import run_plan
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
        the first, the steps of all, and a list `stages` of each with its `name`. With `train.batch_size` auto also
        `would_try`, the sizes that the run would try; `batch_size` is what should be found.

    Raises:
        UsageError: As a run would.
    """
    with tempfile.TemporaryDirectory(prefix="ofakit-dry-run-", ignore_cleanup_errors=True) as folder:
        found: list[dict[str, Any]] = []
        bundle = None
        for name, experiment in _trainings(config):
            moved = _moved(experiment, folder, data_root(config))
            outlook, bundle = _outlook(moved, device, None if found else checkpoint, bundle)
            found.append(_in_place_of(folder, config.work_dir, {"name": name, **outlook}))
    first = {key: value for key, value in found[0].items() if key != "name"}
    if not config.stages:
        return first
    return {**first, "steps": sum(outlook["steps"] for outlook in found), "stages": found}


def _trainings(config: ExperimentConfig) -> list[tuple[str, ExperimentConfig]]:
    """Name and experiment of every stage, or of the only one."""
    if not config.stages:
        return [("", config)]
    return [(stage.name, own) for stage, own in zip(config.stages, stage_experiments(config), strict=True)]


def _moved(config: ExperimentConfig, folder: str, root: str | None) -> ExperimentConfig:
    """The experiment with its run directory elsewhere; data that a run has generated before are found at their root."""
    moved = config.model_copy(deep=True, update={"work_dir": folder})
    if root is not None and (Path(root).is_dir() or root == config.data.root):
        moved.data = moved.data.model_copy(update={"root": root})
    return moved


def _in_place_of(folder: str, work_dir: str, value: Any) -> Any:
    """What was found, with the run directory that it will have in every path."""
    if isinstance(value, str):
        return work_dir + value.removeprefix(folder) if value.startswith(folder) else value
    if isinstance(value, dict):
        return {key: _in_place_of(folder, work_dir, inner) for key, inner in value.items()}
    return [_in_place_of(folder, work_dir, inner) for inner in value] if isinstance(value, list) else value


def _outlook(
    config: ExperimentConfig, device: str | None, checkpoint: str | None, bundle: ModelBundle | None = None
) -> tuple[dict[str, Any], ModelBundle]:
    """What one training would be, and the model that it starts from."""
    trainer = Trainer(model=bundle, experiment=config, device=device)
    if not trainer.examples.get("train"):
        raise UsageError("there is nothing to train on: the training split is empty or was not given")
    if checkpoint is not None:
        trainer.bundle.take_weights(Path(checkpoint), allow_partial=config.model.allow_partial)
    objectives, weights = objectives_of_parts(trainer.task.parts(trainer.bundle))
    left_out = trainer.loading.plan_training(trainer.examples["train"], objectives)
    examples = _sound_examples(trainer)
    _prepare(objectives, examples, trainer)
    preprocessor = with_views(trainer.loading.preprocessors["train"], objectives)
    dataset = ExampleDataset(examples, preprocessor, None, config.seed)
    samples = [dataset[place] for place in range(len(examples))]
    memory = _memory(trainer, objectives, weights, samples)
    found: dict[str, Any] = {}
    if trainer.experiment.train.batch_size == "auto":
        before = trainer.experiment.train.dataloader.batch_size_per_gpu
        found["would_try"] = trainer.reckon_batch_size(memory.an_example, objectives)
        memory = memory.with_more(trainer.experiment.train.dataloader.batch_size_per_gpu - before)
    outlook = {
        **run_plan(trainer),
        **found,
        "left_out": left_out,
        "objectives": list(objectives),
        "memory": _sizes(memory),
        "example": trainer.task.shown(trainer.bundle, examples[0], samples[0]),
    }
    return outlook, trainer.bundle


def _prepare(objectives: Mapping[str, Objective], tried: Sequence[Any], trainer: Trainer) -> None:
    """Let objectives get ready; the examples that are tried stand before all others, as `index` will have it."""
    known, folder = set(map(id, tried)), Path(trainer.work_dir)
    every = [*tried, *(example for example in trainer.loading.training_examples if id(example) not in known)]
    parts = trainer.task.parts(trainer.bundle)
    for objective in objectives.values():
        examples = trainer.task.examples_of(objective.part, tried if objective.prepares_each_example else every)
        objective.prepare(examples, parts[objective.part][1], folder)
        objective.begin(parts[objective.part][1], folder, False)


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
        raise UsageError(f"none of the first {len(chosen)} training examples has a readable image: {reasons[0]}")
    return found


def _memory(
    trainer: Trainer, objectives: Mapping[str, Objective], weights: Sequence[float], samples: Sequence[dict[str, Any]]
) -> MemoryEstimate:
    """What a step takes, from the gradients of a few examples."""
    train = trainer.experiment.train
    module = WeightedObjectives(trainer.model, objectives, weights, train.precision)
    of_losses = parameters_of_losses(trainer.model, objectives)
    optimizer = build_optimizer(trainer.model, train.optimizer, of_losses)
    scheduler = build_scheduler(optimizer, train.lr_scheduler, trainer.max_iters)
    updater = Updater(module, optimizer, scheduler, trainer.processes, train.clip_norm, train.max_bad_steps)
    collate = trainer.loading.collators["train"]
    trainer.model.train()

    def backward(some: Sequence[Any]) -> None:
        updater.gradients([trainer.task.move(trainer.bundle, collate(some), trainer.device)], 0)

    return estimate_memory(trainer.model, backward, samples, train.dataloader.batch_size_per_gpu)


def _sizes(memory: MemoryEstimate) -> dict[str, int]:
    parts = {"weights": memory.weights, "gradients": memory.gradients, "optimizer": memory.optimizer}
    sizes = {**parts, "activations": memory.activations, "total": memory.total}
    return {**{f"{name}_bytes": size for name, size in sizes.items()}, "counted_with_examples": memory.counted_with}

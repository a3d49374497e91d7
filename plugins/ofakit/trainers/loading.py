"""Turns examples into batches: fills the image store, leaves out bad images, and can start at any step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from logging import Logger
from pathlib import Path
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset

from ofakit.config import ExperimentConfig
from ofakit.data import (
    BadExamples,
    ExampleDataset,
    GroupedBatchSampler,
    ImageStore,
    ResumableBatchSampler,
    usable_examples,
)
from ofakit.data.fingerprint import examples_fingerprint
from ofakit.errors import OfakitError, UsageError
from ofakit.hub import ModelBundle
from ofakit.objectives._groups import refuse_groups
from ofakit.objectives.base import Objective
from ofakit.preprocessors.views import with_views
from ofakit.processes import Processes
from ofakit.progress import followed, progress_bar
from ofakit.tasks.base import Task

__all__ = ["Loading"]


class Loading:
    """The batches of a run, for this process.

    Args:
        experiment: The configuration.
        task: Defines what an epoch and a batch consist of.
        bundle: The model with tokenizer and settings.
        processes: This process among the others.
        preprocessor: Replaces the task's; a callable or {"train": …, "val": …}.
        data_collator: Replaces the task's; a callable or {"train": …, "val": …}.
        logger: Logs what is left out.
    """

    def __init__(
        self,
        experiment: ExperimentConfig,
        task: Task,
        bundle: ModelBundle,
        processes: Processes,
        preprocessor: Any,
        data_collator: Any,
        logger: Logger,
    ) -> None:
        self.experiment = experiment
        self.task = task
        self.bundle = bundle
        self.processes = processes
        self.logger = logger
        self.preprocessors = {
            mode: _chosen(preprocessor, mode) or task.preprocessor(bundle, name)
            for mode, name in (("train", "train"), ("val", "eval"))
        }
        self.collators = {mode: _chosen(data_collator, mode) or task.collator(bundle) for mode in ("train", "val")}
        self.store: ImageStore | None = None
        self.sampler: ResumableBatchSampler
        self.loader: DataLoader
        self.dataset: ExampleDataset
        self.training_examples: list[Any] = []
        self.fingerprint = ""

    @property
    def steps_per_epoch(self) -> int:
        """Updates of one epoch; the last may have fewer batches."""
        return -(-self.sampler.batches_per_epoch // self.experiment.train.gradient_accumulation)

    def prepare_training(self, examples: Sequence[Any], objectives: Mapping[str, Objective] | None = None) -> None:
        """Decode the images and fix the order of examples.

        Args:
            examples: The training split, as read by the reader.
            objectives: The objectives by name; they determine what an epoch consists of, and add their views to
                samples.

        Raises:
            UsageError: Too many images are bad, or there are too few examples.
        """
        config = self.experiment
        path = Path(config.work_dir) / "bad_examples.jsonl" if self.processes.is_main else None
        bad = BadExamples(config.data.max_bad_fraction, path)
        objectives = objectives or {}
        chosen = self.task.training_examples(examples, objectives, bad)
        self.training_examples = self._with_images(chosen, bad)
        bad.write()
        for kind, count in bad.counts.items():
            self.logger.warning(f"{count} training examples left out: {kind} (bad_examples.jsonl lists them)")
        if examples and not self.training_examples:
            raise UsageError(
                f"none of the {len(examples)} training examples can be learned from: {bad.counts}. Check the columns "
                "of texts and images that data.reader reads, or the column map of data sets given in memory"
            )
        self.fingerprint = examples_fingerprint(self.training_examples)
        preprocessor = with_views(self.preprocessors["train"], objectives)
        self.dataset = ExampleDataset(self.training_examples, preprocessor, self.store, config.seed)
        self.settle_batches(objectives)

    def settle_batches(self, objectives: Mapping[str, Objective]) -> None:
        """Make batches of the size that is now in the configuration.

        Args:
            objectives: The objectives by name.

        Raises:
            UsageError: There are too few examples.
        """
        self.settle_order(objectives)
        workers = self.experiment.train.dataloader.workers_per_gpu
        self.loader = self._loader(self.dataset, "train", workers, batch_sampler=self.sampler)

    def plan_training(self, examples: Sequence[Any], objectives: Mapping[str, Objective]) -> dict[str, int]:
        """Fix the order of examples without checking their images, some of which may be bad.

        Args:
            examples: The training split, as read by the reader.
            objectives: The objectives by name.

        Returns:
            The number of examples that are left out, by reason.

        Raises:
            UsageError: There are too few examples.
        """
        bad = BadExamples(1.0)
        self.training_examples = self.task.training_examples(examples, objectives, bad)
        if not self.training_examples:
            raise UsageError(f"none of the {len(examples)} training examples can be learned from: {bad.counts}")
        self.settle_order(objectives)
        return bad.counts

    def settle_order(self, objectives: Mapping[str, Objective]) -> None:
        """Fix the order of the training examples; an error in the configuration may make this impossible.

        Args:
            objectives: The objectives by name.

        Raises:
            UsageError: There are too few examples.
        """
        with self.experiment.naming_the_file("train", "dataloader"):
            self.sampler = self._sampler(objectives)

    def _sampler(self, objectives: Mapping[str, Objective]) -> ResumableBatchSampler:
        """The order of the training examples: all together, or group by group."""
        train, seed = self.experiment.train, self.experiment.seed
        size, mixing = train.dataloader.batch_size_per_gpu, train.dataloader.mixing
        rank, world_size = self.processes.rank, self.processes.world_size
        own = self.task.sampler(self.training_examples, rank=rank, world_size=world_size)
        if own is not None:
            return own
        if mixing == "roundrobin":
            raise UsageError(
                "roundrobin mixes several tasks, and there is only one: choose balanced or proportional", "mixing"
            )
        groups = [getattr(example, "group", None) for example in self.training_examples]
        refuse_groups(objectives, groups, mixing)
        if mixing is None:
            return ResumableBatchSampler(len(groups), size, seed, rank, world_size)
        return GroupedBatchSampler(groups, size, mixing, train.gradient_accumulation, seed, rank, world_size)

    def steps(self, epoch: int, first_step: int) -> Iterator[list[dict[str, Any]]]:
        """The batches of each step of an epoch.

        Args:
            epoch: The epoch, counted from 0.
            first_step: Steps of the epoch that are already done.
        """
        size = self.experiment.train.gradient_accumulation
        done = min(first_step * size, self.sampler.batches_per_epoch)
        self.sampler.set_epoch(epoch, done)
        if done == self.sampler.batches_per_epoch:
            return
        batches: list[dict[str, Any]] = []
        for batch in _unless_killed(self.loader):
            batches.append(batch)
            if len(batches) == size:
                yield batches
                batches = []
        if batches:
            yield batches

    def evaluation(self, examples: Sequence[Any]) -> tuple[list[Any], Iterator[dict[str, Any]]]:
        """The examples that can be evaluated, and this process's share of them as batches.

        Args:
            examples: A split, as read by the reader.
        """
        bad = BadExamples(1.0)
        usable = self._with_images(self.task.evaluation_examples(examples, bad), bad)
        for kind, count in bad.counts.items():
            self.logger.warning(f"{count} evaluation examples left out: {kind}")
        dataset = ExampleDataset(usable, self.preprocessors["val"], self.store)
        section = self.experiment.evaluation.dataloader
        mine = range(self.processes.rank, len(usable), self.processes.world_size)
        size = section.batch_size_per_gpu
        batches = [list(mine[start : start + size]) for start in range(0, len(mine), size)]
        loader = self._loader(dataset, "val", section.workers_per_gpu, batch_sampler=batches)
        batches_with_progress = followed(
            _unless_killed(loader), "evaluation", "batches", len(batches), self.processes.is_main
        )
        return usable, batches_with_progress

    def _loader(self, dataset: ExampleDataset, mode: str, workers: int, **sampling: Any) -> DataLoader:
        """A loader that does not use the global generators, so that a resumed run draws the same numbers."""
        return DataLoader(
            cast("Dataset[dict[str, Any]]", dataset),
            num_workers=workers,
            collate_fn=self.collators[mode],
            persistent_workers=workers > 0 and mode == "train",
            pin_memory=self.processes.device.type == "cuda",
            generator=torch.Generator().manual_seed(self.experiment.seed),
            **sampling,
        )

    def _with_images(self, examples: Sequence[Any], bad: BadExamples) -> list[Any]:
        """The examples whose image can be decoded and is now in the store; processes share the decoding."""
        examples = self.task.with_inputs(self.bundle, examples, bad)
        if self.store is None:
            size = self.task.image_size(self.bundle)
            if size is None:
                return list(examples)
            folder = self.experiment.data.image_store or str(Path(self.experiment.work_dir) / "image_store")
            self.store = ImageStore(folder, size)
        paths = list(dict.fromkeys(path for example in examples for path in example.image_paths))
        share = paths[self.processes.rank :: self.processes.world_size]
        with progress_bar(len(share), "decoding", "images", self.processes.is_main) as bar:
            self.store.add_many(share, os.cpu_count() or 1, lambda done, _: bar.update(done - bar.n))
        self.processes.wait()
        return usable_examples(examples, self.store, bad)


def _unless_killed(loader: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The batches of a loader; if one of its processes is killed, the error is a sentence that says so."""
    try:
        yield from loader
    except (RuntimeError, EOFError, ConnectionError) as error:
        text = str(error)
        if "Caught" in text or (isinstance(error, RuntimeError) and "DataLoader worker" not in text):
            raise
        raise OfakitError(
            "a data-loading process was killed, most likely because memory ran out; lower "
            "train.dataloader.workers_per_gpu and continue with --resume auto"
        ) from error


def _chosen(given: Any, mode: str) -> Callable[..., Any] | None:
    """The callable for a mode, given one for all modes or a dict by mode."""
    return given.get(mode) if isinstance(given, Mapping) else given

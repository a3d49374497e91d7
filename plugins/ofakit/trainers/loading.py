"""Examples become batches: the image store is filled, bad images are left out, steps can be entered anywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from logging import Logger
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from ofakit.config import ExperimentConfig
from ofakit.data import (
    BadExamples,
    CaptionDataset,
    Example,
    ImageStore,
    ResumableBatchSampler,
    drop_empty,
    expand,
    usable_examples,
)
from ofakit.data.style_names import same_style
from ofakit.errors import UsageError
from ofakit.hub import ModelBundle
from ofakit.preprocessors import CaptionPreprocessor, Collate
from ofakit.preprocessors.image import normalize
from ofakit.preprocessors.views import with_views
from ofakit.processes import Processes

__all__ = ["Loading", "move_batch", "one_per_image"]


class Loading:
    """The batches of a run, for this process.

    Args:
        experiment: The configuration.
        bundle: Tokenizer, styles and image sizes.
        processes: This process among the others.
        preprocessor: Replaces ours; a callable or {"train": …, "val": …}.
        data_collator: Replaces ours; a callable or {"train": …, "val": …}.
        logger: Is told what is left out.
    """

    def __init__(
        self,
        experiment: ExperimentConfig,
        bundle: ModelBundle,
        processes: Processes,
        preprocessor: Any,
        data_collator: Any,
        logger: Logger,
    ) -> None:
        self.experiment = experiment
        self.processes = processes
        self.logger = logger
        collate = Collate(bundle.tokenizer.pad_token_id)
        self.preprocessors = {mode: _chosen(preprocessor, mode) for mode in ("train", "val")}
        self.collators = {mode: _chosen(data_collator, mode) or collate for mode in ("train", "val")}
        for mode, name in (("train", "train"), ("val", "eval")):
            if self.preprocessors[mode] is None:
                self.preprocessors[mode] = CaptionPreprocessor.from_section(
                    bundle.preprocessor, bundle.tokenizer, bundle.styles, mode=name
                )
        self.store: ImageStore | None = None
        self.sampler: ResumableBatchSampler | None = None
        self.loader: DataLoader | None = None
        self.training_examples: list[Example] = []

    @property
    def steps_per_epoch(self) -> int:
        """Updates of one epoch; the last may have fewer batches."""
        return -(-self.sampler.batches_per_epoch // self.experiment.train.gradient_accumulation)

    def prepare_training(self, examples: Sequence[Example], objectives: Mapping[str, Any] | None = None) -> None:
        """Decode the images and settle the order of examples.

        Args:
            examples: The training split, as the reader gives it.
            objectives: What is trained, by name. An epoch has one example per image and style where each of them says
                `one_example_per = "image"`, and one a caption otherwise; those with a method `view` add to samples.

        Raises:
            UsageError: Too many images are bad, or there are too few examples.
        """
        config = self.experiment
        path = Path(config.work_dir) / "bad_examples.jsonl" if self.processes.is_main else None
        bad = BadExamples(config.data.max_bad_fraction, path)
        objectives = objectives or {}
        wanted = {getattr(objective, "one_example_per", "caption") for objective in objectives.values()}
        chosen = drop_empty(one_per_image(examples), bad) if wanted == {"image"} else expand(examples, bad)
        self.training_examples = self._with_images(chosen, bad)
        for kind, count in bad.counts.items():
            self.logger.warning(f"{count} training examples left out: {kind} (bad_examples.jsonl lists them)")
        if examples and not self.training_examples:
            raise UsageError(
                f"none of the {len(examples)} training examples can be learned from: {bad.counts}. Check the columns "
                "of captions and images that data.reader reads, or the column map of data sets given in memory"
            )
        preprocessor = with_views(self.preprocessors["train"], objectives)
        dataset = CaptionDataset(self.training_examples, preprocessor, self.store, config.seed)
        loading = config.train.dataloader
        self.sampler = ResumableBatchSampler(
            len(dataset), loading.batch_size_per_gpu, config.seed, self.processes.rank, self.processes.world_size
        )
        self.loader = self._loader(dataset, "train", loading.workers_per_gpu, batch_sampler=self.sampler)

    def steps(self, epoch: int, first_step: int) -> Iterator[list[dict[str, Any]]]:
        """The batches of each step of an epoch.

        Args:
            epoch: Counted from 0.
            first_step: Steps of the epoch that are done already.
        """
        size = self.experiment.train.gradient_accumulation
        done = min(first_step * size, self.sampler.batches_per_epoch)
        self.sampler.set_epoch(epoch, done)
        if done == self.sampler.batches_per_epoch:
            return
        batches: list[dict[str, Any]] = []
        for batch in self.loader:
            batches.append(batch)
            if len(batches) == size:
                yield batches
                batches = []
        if batches:
            yield batches

    def evaluation(self, examples: Sequence[Example]) -> tuple[list[Example], Iterator[dict[str, Any]]]:
        """What can be captioned and scored, and this process's share of it as batches.

        Args:
            examples: A split, as the reader gives it.
        """
        bad = BadExamples(1.0)
        usable = self._with_images(drop_empty(examples, bad), bad)
        for kind, count in bad.counts.items():
            self.logger.warning(f"{count} evaluation examples left out: {kind}")
        dataset = CaptionDataset(usable, self.preprocessors["val"], self.store)
        section = self.experiment.evaluation.dataloader
        mine = range(self.processes.rank, len(usable), self.processes.world_size)
        size = section.batch_size_per_gpu
        batches = [list(mine[start : start + size]) for start in range(0, len(mine), size)]
        loader = self._loader(dataset, "val", section.workers_per_gpu, batch_sampler=batches)
        shown = tqdm(loader, "captions", leave=False, disable=None if self.processes.is_main else True)
        return usable, iter(shown)

    def _loader(self, dataset: CaptionDataset, mode: str, workers: int, **sampling: Any) -> DataLoader:
        """A loader that draws nothing from the global generators, so that a resumed run draws the same numbers."""
        return DataLoader(
            dataset,
            num_workers=workers,
            collate_fn=self.collators[mode],
            persistent_workers=workers > 0 and mode == "train",
            pin_memory=self.processes.device.type == "cuda",
            generator=torch.Generator().manual_seed(self.experiment.seed),
            **sampling,
        )

    def _with_images(self, examples: Sequence[Example], bad: BadExamples) -> list[Example]:
        """The examples whose image can be decoded, now in the store; processes share the decoding."""
        if self.store is None:
            sizes = self.experiment.preprocessor
            folder = self.experiment.data.image_store or str(Path(self.experiment.work_dir) / "image_store")
            self.store = ImageStore(folder, sizes.max_image_size or sizes.patch_image_size)
        paths = list(dict.fromkeys(e.image_path for e in examples if e.image_path is not None))
        share = paths[self.processes.rank :: self.processes.world_size]
        with tqdm(total=len(share), desc="decoding", leave=False, disable=None) as bar:
            self.store.add_many(share, os.cpu_count() or 1, lambda done, _: bar.update(done - bar.n))
        self.processes.wait()
        return usable_examples(examples, self.store, bad)


def one_per_image(examples: Iterable[Example]) -> list[Example]:
    """Join the examples of one image in one style, without a caption of their own but with all references.

    Args:
        examples: As a reader gives them, or one a caption.

    >>> rows = [Example("1", "a.jpg", text="one", references=("one",)), Example("2", "a.jpg", references=("two",))]
    >>> [(e.text, e.references) for e in one_per_image(rows)]
    [(None, ('one', 'two'))]
    """
    joined: dict[tuple[Any, str | None], Example] = {}
    for example in examples:
        key = (example.image_key, same_style(example.style) if example.style else None)
        references = example.references or (() if example.text is None else (example.text,))
        first = joined.setdefault(key, replace(example, text=None, references=()))
        united = tuple(dict.fromkeys([*first.references, *references]))
        joined[key] = replace(first, references=united)
    return list(joined.values())


def move_batch(batch: Mapping[str, Any], device: torch.device, mean_std: str) -> dict[str, Any]:
    """A batch on the device, its images as normalised floats.

    Args:
        batch: As made by the collator.
        device: Where the model is.
        mean_std: "half" or "imagenet".
    """
    moved = {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name != "patch_images"
    }
    return {**moved, "patch_images": normalize(batch["patch_images"], mean_std, device=device)}


def _chosen(given: Any, mode: str) -> Callable[..., Any] | None:
    """The callable for a mode, of one for all or a dict by mode."""
    return given.get(mode) if isinstance(given, Mapping) else given

"""What a task is: all that the trainer does not know, since it differs from one kind of experiment to another.

A task reads the examples, makes the model to start from, turns examples into batches, and evaluates. The trainer only
asks it; `docs/how-to-extend.md` shows a task of one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch

from ofakit.config.schema import ExperimentConfig, ModelSection
from ofakit.data import BadExamples, ResumableBatchSampler, examples_from_dataset
from ofakit.data.image_keys import images_by_name
from ofakit.data.reading import build_reader
from ofakit.errors import UsageError
from ofakit.files import write_text
from ofakit.hub import ModelBundle
from ofakit.json_text import to_json
from ofakit.models.model_type import ModelType
from ofakit.objectives.base import Objective
from ofakit.preprocessors.batches import move_batch
from ofakit.preprocessors.regions import NO_REGIONS, RegionInputs, with_regions
from ofakit.processes import Processes
from ofakit.tasks._regions import live_regions, region_inputs
from ofakit.tasks._shown_tensors import shown_tensors

__all__ = ["Evaluation", "EvaluationLoading", "Task"]

Bundle = TypeVar("Bundle", bound=ModelBundle)
"""The bundle of a task: `class Retrieval(Task[RetrievalBundle])`."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        scores: By name.
        rows: What was made of each example, for JSON lines.
        page: Makes a page to look at, as HTML, under a title; None if there is none.
        silent: For how many examples the model gave nothing, such as NaN in place of a caption.
    """

    scores: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]
    page: Callable[[str], str] | None = None
    silent: int = 0

    def write(self, folder: Path, split: str) -> None:
        """Write `<split>.json`, `<split>.predictions.jsonl` and, where there is a page, `<split>.html`.

        Args:
            folder: The folder `eval` of a run.
            split: The split's name.
        """
        lines = (to_json(dict(row)) for row in self.rows)
        write_text(folder / f"{split}.predictions.jsonl", "".join(line + "\n" for line in lines))
        if self.page is not None:
            write_text(folder / f"{split}.html", self.page(f"{folder.parent.name}: {split}"))
        write_text(folder / f"{split}.json", to_json(dict(self.scores), indent=1) + "\n")


class EvaluationLoading(Protocol):
    """What the trainer gives a task to evaluate with."""

    processes: Processes

    def evaluation(self, examples: Sequence[Any]) -> tuple[list[Any], Any]:
        """The examples that can be evaluated, and this process's share of them as batches with `index`.

        Args:
            examples: A split.
        """
        ...


class Task(ABC, Generic[Bundle]):
    """What an experiment is for.

    Attributes:
        name: ModelScope's name of the task.
        usual_model: The type of the model where the configuration does not say.
        usual_objectives: What is trained where the configuration does not say.
        usual_score: What the best model is chosen by where the configuration does not say.
        wraps_model: Whether its model stands around that which several tasks share.

    Args:
        config: The experiment.

    Raises:
        UsageError: A part of the configuration that is the task's business cannot be used.
    """

    name: ClassVar[str]
    usual_model: ClassVar[str] = "ofa"
    usual_objectives: ClassVar[Sequence[Mapping[str, Any]]] = ({"type": "cross_entropy"},)
    usual_score: ClassVar[str]
    wraps_model: ClassVar[bool] = False

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config
        config.model.type = config.model.type or self.usual_model
        self.reader: Any = None
        self.examples: dict[str, list[Any]] = {}
        self._region_inputs: RegionInputs | None = None

    def read(self, given: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The examples of every split, from the reader or from what was given.

        Args:
            given: Data sets in memory by split; None if the reader's shall be used.
        """
        data = self.config.data
        self.reader = build_reader(self.config)
        columns = (data.reader.model_extra or {}).get("column_map") or None
        for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
            if given.get(name) is not None:
                self.examples[name] = examples_from_dataset(given[name], columns)
            elif self.reader is not None and split is not None:
                self.examples[name] = self.reader.read(split)
        return self.examples

    @abstractmethod
    def build_bundle(self, path: str | None = None) -> Bundle:
        """The model to start from, with what goes with it. Called after `read`.

        Args:
            path: A model directory or hub id instead of the configuration's.

        Raises:
            UsageError: The checkpoint or the tokenizer is missing or does not fit.
        """

    def texts(self) -> Iterable[str]:
        """What a vocabulary of the experiment's own is trained on; by default nothing. Called after `read`."""
        return ()

    def shared_bundle(self, bundle: ModelBundle) -> Bundle:
        """The bundle of this task around a model that several tasks share, where it has one. Called after `read`.

        Args:
            bundle: The model as it was read or made; it is left as it is, the model may get further tokens.

        Raises:
            UsageError: The task has models of its own kind, as it is by default, or the model does not fit.
        """
        raise UsageError(f"the task {self.name} cannot share its model with another")

    def parts(self, bundle: Bundle) -> Mapping[str | None, tuple[ExperimentConfig, ModelBundle]]:
        """The tasks that an experiment consists of, each with its configuration and its bundle.

        Args:
            bundle: The model.

        Returns:
            By name; the only one has the name None.
        """
        return {None: (self.config, bundle)}

    def examples_of(self, part: str | None, examples: Sequence[Any]) -> Sequence[Any]:
        """Those of the training examples that one of several tasks learns from.

        Args:
            part: Its name; None: the only one.
            examples: All.
        """
        return examples

    def one_part(self, part: str, examples: Sequence[Any]) -> Sequence[Any]:
        """Those examples of a split that are of one of several tasks, as `evaluate` takes them.

        Args:
            part: Its name.
            examples: The split.

        Raises:
            UsageError: There is one task alone.
        """
        raise UsageError(f"the task {self.name} has no parts, such as {part!r}")

    def part_scores(self) -> Mapping[str, str]:
        """Of each of several tasks the score that its own best model is chosen by; none where there is one task."""
        return {}

    def sampler(self, examples: Sequence[Any], **place: int) -> ResumableBatchSampler | None:
        """The order of the training examples, where it is the task's own.

        Args:
            examples: Those that an epoch consists of.
            **place: `rank` and `world_size` of this process.

        Returns:
            None: the order that `train.dataloader` asks for.
        """
        return None

    def adopt(self, bundle: Bundle) -> None:  # noqa: B027 (a task may have nothing to take over)
        """Take over what the bundle says into the configuration, and look whether the examples fit it.

        Args:
            bundle: The model that is trained or evaluated.
        """

    @abstractmethod
    def training_examples(
        self, examples: Sequence[Any], objectives: Mapping[str, Objective], bad: BadExamples
    ) -> list[Any]:
        """What an epoch consists of.

        Args:
            examples: The training split.
            objectives: What is trained, by name.
            bad: Counts and lists what is left out.
        """

    def evaluation_examples(self, examples: Sequence[Any], bad: BadExamples) -> list[Any]:
        """What of a split can be evaluated; by default all of it.

        Args:
            examples: The split.
            bad: Counts and lists what is left out.
        """
        return list(examples)

    @abstractmethod
    def preprocessor(self, bundle: Bundle, mode: str) -> Callable[..., dict[str, Any]]:
        """From an example to tensors; picklable, called with `rng` and `pixels`.

        Args:
            bundle: The model.
            mode: "train" or "eval".
        """

    @abstractmethod
    def collator(self, bundle: Bundle) -> Callable[..., dict[str, Any]]:
        """From those of several examples to a batch; picklable.

        Args:
            bundle: The model.
        """

    def images(self) -> dict[str, Any]:
        """The images of all splits by name, their path or what tells those in memory apart."""
        listed = [example for examples in self.examples.values() for example in examples]
        return images_by_name(listed)

    def see_regions(self, bundle: Bundle) -> None:
        """Let a model that reads regions find those of the experiment's images, made now where a network is named.

        Args:
            bundle: The model; gets its `regions`, and what makes those of other images. Where the configuration says
                nothing of regions, the network in its directory makes them.

        Raises:
            UsageError: The model reads no regions although the configuration has some, or the other way round.
        """
        wanted = self.reads_regions(bundle)
        if wanted and self.config.data.regions is None and bundle.live_regions is not None:
            self.config.data.regions = bundle.live_regions.section
        section = self.config.data.regions
        if section is not None and not wanted:
            raise UsageError(
                f"data.regions is for models that read regions, but a model of type {bundle.model_type!r} reads "
                "pixels here: leave data.regions out, or choose a model of regions, such as vl without model.backbone"
            )
        if section is None and wanted:
            raise UsageError(NO_REGIONS)
        bundle.regions = self.region_inputs() if wanted else None
        bundle.live_regions = live_regions(self.config) if wanted else None

    def region_inputs(self) -> RegionInputs:
        """What reads the regions of the experiment's images; the first call makes those that are not there yet.

        Raises:
            UsageError: There are none, or those that are there are of another network.
        """
        if self._region_inputs is None:
            self._region_inputs = region_inputs(self.config, self.images)
        return self._region_inputs

    def with_region_width(self, section: ModelSection, kind: ModelType) -> ModelSection:
        """The section `model` with the width of the experiment's regions as `config.feat_dim`, where it says none.

        Args:
            section: The section.
            kind: Of the model that is to be built.

        Raises:
            UsageError: As `region_inputs`.
        """
        if not kind.reads_regions(section) or self.config.data.regions is None or "feat_dim" in section.config:
            return section
        return section.model_copy(update={"config": {**section.config, "feat_dim": self.region_inputs().width}})

    def reads_regions(self, bundle: Bundle) -> bool:
        """Whether a model reads regions in place of pixels.

        Args:
            bundle: The model.
        """
        return bundle.model.reads_regions

    def with_inputs(self, bundle: Bundle, examples: Sequence[Any], bad: BadExamples) -> list[Any]:
        """Leave out examples of whose images there are no regions, where the model reads these.

        Args:
            bundle: The model.
            examples: What is trained or evaluated on.
            bad: Counts and lists what is left out.
        """
        return list(examples) if bundle.regions is None else with_regions(examples, bundle.regions, bad)

    def image_size(self, bundle: Bundle) -> int | None:
        """Pixels a side that images are kept decoded in; None decodes them each time.

        Args:
            bundle: The model.
        """
        return None

    def shown(self, bundle: Bundle, example: Any, sample: Mapping[str, Any]) -> dict[str, Any]:
        """A training example as the model sees it, for people; by default the shapes of its tensors.

        Args:
            bundle: The model.
            example: One of `training_examples`.
            sample: What the preprocessor made of it, with the views of objectives.

        Returns:
            Fit for JSON.
        """
        return {"id": example.id, **shown_tensors(sample)}

    def move(self, bundle: Bundle, batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
        """A batch on the device, ready for the model.

        Args:
            bundle: The model.
            batch: From the collator.
            device: Where the model is.
        """
        return move_batch(batch, device)

    @abstractmethod
    def evaluate(self, bundle: Bundle, examples: Sequence[Any], loading: EvaluationLoading) -> Evaluation | None:
        """Evaluate a split; every process of a run calls this at the same time.

        Args:
            bundle: The model, on its device, in evaluation mode.
            examples: The split.
            loading: Gives the batches, and says which process this is.

        Returns:
            What was found; processes other than the first may return None.
        """

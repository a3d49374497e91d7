"""Several tasks in one run, by one model: captions, answers and retrieval, each with data and objectives of its own.

    {"task": "multitask", "data": {"reader": {"type": "given"}, "root": "DIR"},
     "tasks": [{"name": "caption", "task": "captioning", "data": {"reader": {"type": "coco_captions"}}},
               {"name": "vqa", "task": "vqa", "data": {"reader": {"type": "vqa"}},
                "preprocessor": {"prompt": "vqa: {}"}},
               {"name": "search", "task": "retrieval", "data": {"reader": {"type": "image_text", …}},
                "retriever": {"encoder": {"pooling": "mean", "projection": 128}}}],
     "model": {"adapter": {"type": "bottleneck", "tasks": ["caption", "vqa", "search"]}}}

What an entry of `tasks` does not say is as in the rest of the file. A batch is of one task, and so is every step; how
they take turns says `train.dataloader.mixing` (`ofakit.data.task_schedule`). The model computes with the adapters and
prompts of the batch's task where `model.adapter.tasks` names the tasks, else with those that all share. For retrieval
it is the encoder of a retriever, whose projection and scale are beside it (`ofakit.models.shared_model`). Scores are
those of every task as `<task>/<score>`, and `score`, the mean of those that the tasks are usually chosen by.
Source of the way tasks are mixed: j-min/VL-T5 and ylsung/VL_adapter `VL-T5/src/multitask.py`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch

from ofakit.config.component import Component
from ofakit.config.schema import ExperimentConfig, ModelSection
from ofakit.config.task_experiments import RETRIEVER, task_experiments
from ofakit.data import BadExamples
from ofakit.data.task_sampler import TaskBatchSampler
from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, ModelBundle, RetrievalBundle, load_bundle
from ofakit.hub.multitask_bundle import MULTITASK, MultitaskBundle
from ofakit.models.adapters.tasks import choose_task
from ofakit.models.shared_model import SharedModel
from ofakit.models.types import MODELS
from ofakit.objectives._groups import refuse_groups
from ofakit.objectives.base import Objective
from ofakit.processes import Processes
from ofakit.tasks import TASKS
from ofakit.tasks._starting import new_model, start_of
from ofakit.tasks._task_examples import CollateTasks, PreprocessTasks, TaskExample
from ofakit.tasks.base import Evaluation, EvaluationLoading, Task

__all__ = ["Multitask"]

SCORE = "score"
"""The mean over the tasks."""


class Multitask(Task[MultitaskBundle]):
    """Learn several tasks.

    Args:
        config: The experiment.

    Raises:
        UsageError: `tasks` are none, have one name, or cannot be used.
    """

    name = MULTITASK
    usual_objectives = ()
    usual_score = SCORE

    def __init__(self, config: ExperimentConfig) -> None:
        super().__init__(config)
        self.tasks = {name: _task_of(name, own) for name, own in task_experiments(config).items()}
        self.first: dict[str, int] = {}

    def read(self, given: Mapping[str, Any]) -> dict[str, list[Any]]:
        """The examples of every split, those of the tasks behind each other.

        Args:
            given: Nothing: each task reads its own.

        Raises:
            UsageError: Data sets in memory are given.
        """
        if any(examples is not None for examples in given.values()):
            raise UsageError("several tasks read their own examples; configure readers instead of passing data sets")
        for name, task in self.tasks.items():
            for split, examples in task.read({}).items():
                self.examples.setdefault(split, []).extend(TaskExample(name, example) for example in examples)
        return self.examples

    def texts(self) -> Iterable[str]:
        """What a vocabulary is trained on: the texts of all tasks."""
        return [text for task in self.tasks.values() for text in task.texts()]

    def build_bundle(self, path: str | None = None) -> MultitaskBundle:
        """One model, and what each task keeps beside it.

        Args:
            path: A model directory or hub id instead of the configuration's; of one task or of several.

        Raises:
            UsageError: The checkpoint or the tokenizer is missing or does not fit, or a task has models of its own.
        """
        config = self.config
        section = config.model if path is None else config.model.model_copy(update={"path": path})
        whole, section = start_of(section, self.usual_model)
        if whole is not None:
            start: ModelBundle = load_bundle(whole, allow_partial=section.allow_partial)
            section = self.with_region_width(section, MODELS.build({"type": start.model_type}))
        else:
            start = self._new(section)
        with config.naming_the_file("model"):
            MODELS.build({"type": start.model_type}).train_as(start.model, section)
        known = start.bundles if isinstance(start, MultitaskBundle) else {}
        network, network_type = start.model, start.model_type
        if isinstance(start.model, SharedModel):
            network, network_type = start.model.network, start.model.network_type
        plain: ModelBundle = CaptionBundle(cast(Any, network), start.tokenizer, model_type=network_type)
        plain.live_regions = start.live_regions
        bundles: dict[str, ModelBundle] = {}
        # what stands around the model is made last, when the model has every token that the others give it
        for name, task in sorted(self.tasks.items(), key=lambda item: item[1].wraps_model):
            before = known.get(name, plain if isinstance(start, MultitaskBundle) else start)
            bundles[name] = replace(task.shared_bundle(before), model_task=name)
        bundles = {name: bundles[name] for name in self.tasks}
        around = {name: own for name, own in bundles.items() if isinstance(own, RetrievalBundle)}
        if not around:
            return MultitaskBundle(network, start.tokenizer, model_type=network_type, bundles=bundles)
        retrievers, readings = ({n: getattr(own, of) for n, own in around.items()} for of in ("model", "tokenizer"))
        shared = SharedModel(network, network_type, retrievers, readings)
        return MultitaskBundle(shared, start.tokenizer, model_type="shared", bundles=bundles)

    def _new(self, section: ModelSection) -> ModelBundle:
        """A model from scratch or from other weights, around which nothing is settled yet."""
        model, tokenizer = new_model(self, section)
        return CaptionBundle(cast(Any, model), tokenizer, model_type=str(section.type))

    def parts(self, bundle: MultitaskBundle) -> dict[str | None, tuple[ExperimentConfig, ModelBundle]]:
        """The tasks, each with its configuration and its bundle.

        Args:
            bundle: The model.
        """
        return {name: (task.config, bundle.bundles[name]) for name, task in self.tasks.items()}

    def part_scores(self) -> dict[str, str]:
        """Of each task the score that its own best model is chosen by."""
        return {name: f"{name}/{task.usual_score}" for name, task in self.tasks.items()}

    def examples_of(self, part: str | None, examples: Sequence[TaskExample]) -> list[Any]:
        """Those of the training examples that a task learns from, as its reader gave them.

        Args:
            part: The task's name.
            examples: All; those of a task stand behind each other.
        """
        places = [place for place, example in enumerate(examples) if example.part == part]
        self.first[str(part)] = places[0] if places else 0
        return [examples[place].example for place in places]

    def one_part(self, part: str, examples: Sequence[TaskExample]) -> list[TaskExample]:
        """Those examples of a split that are of one task.

        Args:
            part: Its name.
            examples: The split.
        """
        return [example for example in examples if example.part == part]

    def sampler(self, examples: Sequence[TaskExample], **place: int) -> TaskBatchSampler:
        """Batches of one task each, and of one group where an entry of `tasks` has `mixing`.

        Args:
            examples: Those that an epoch consists of.
            **place: `rank` and `world_size` of this process.
        """
        train = self.config.train
        usual = train.dataloader.batch_size_per_gpu
        sizes = {section.name: section.batch_size or usual for section in self.config.tasks}
        mixing = train.dataloader.mixing or "roundrobin"
        names, groups = [example.part for example in examples], [_group_of(example) for example in examples]
        apart = {section.name: section.mixing for section in self.config.tasks if section.mixing is not None}
        steps, seed = train.gradient_accumulation, self.config.seed
        return TaskBatchSampler(names, sizes, mixing, steps, seed, groups=groups, group_mixing=apart, **place)

    def adopt(self, bundle: MultitaskBundle) -> None:
        """Let every task take over what its bundle says.

        Args:
            bundle: The model that is trained or evaluated.
        """
        for name, task in self.tasks.items():
            task.adopt(bundle.bundles[name])

    def see_regions(self, bundle: MultitaskBundle) -> None:
        """Let every task find the regions of its images.

        Args:
            bundle: The model; its bundles get their `regions`.

        Raises:
            UsageError: As for one task.
        """
        for name, task in self.tasks.items():
            task.see_regions(bundle.bundles[name])

    def training_examples(
        self, examples: Sequence[TaskExample], objectives: Mapping[str, Objective], bad: BadExamples
    ) -> list[TaskExample]:
        """What an epoch of every task consists of, behind each other.

        Args:
            examples: The training split.
            objectives: What is trained, by name.
            bad: Counts and lists what is left out.

        Raises:
            UsageError: The objectives of a task and the groups of its examples do not fit together.
        """

        def chosen(name: str, task: Task[Any], own: Sequence[Any]) -> Sequence[Any]:
            learned = {key: objective for key, objective in objectives.items() if objective.part == name}
            found = task.training_examples(own, learned, bad)
            (number,) = (place for place, section in enumerate(self.config.tasks) if section.name == name)
            with self.config.naming_the_file("tasks", number):
                refuse_groups(learned, [_group_of(example) for example in found], self.config.tasks[number].mixing)
            return found

        return self._each(examples, chosen)

    def evaluation_examples(self, examples: Sequence[TaskExample], bad: BadExamples) -> list[TaskExample]:
        """What of a split can be evaluated, task by task.

        Args:
            examples: The split.
            bad: Counts and lists what is left out.
        """
        return self._each(examples, lambda _, task, own: task.evaluation_examples(own, bad))

    def with_inputs(
        self, bundle: MultitaskBundle, examples: Sequence[TaskExample], bad: BadExamples
    ) -> list[TaskExample]:
        """Leave out examples of whose images there are no regions, where the model reads these.

        Args:
            bundle: The model.
            examples: What is trained or evaluated on.
            bad: Counts and lists what is left out.
        """
        return self._each(examples, lambda name, task, own: task.with_inputs(bundle.bundles[name], own, bad))

    def _each(
        self, examples: Sequence[TaskExample], choose: Callable[[str, Task[Any], Sequence[Any]], Sequence[Any]]
    ) -> list[TaskExample]:
        """What is chosen of the examples of every task, behind each other."""
        found = []
        for name, task in self.tasks.items():
            own = [example.example for example in examples if example.part == name]
            found += [TaskExample(name, example) for example in (choose(name, task, own) if own else ())]
        return found

    def preprocessor(self, bundle: MultitaskBundle, mode: str) -> Callable[..., dict[str, Any]]:
        """From an example to the tensors of its task, and `task`.

        Args:
            bundle: The model.
            mode: "train" or "eval".
        """
        return PreprocessTasks(
            {name: task.preprocessor(bundle.bundles[name], mode) for name, task in self.tasks.items()}
        )

    def collator(self, bundle: MultitaskBundle) -> Callable[..., dict[str, Any]]:
        """From those of several examples of one task to a batch, with `task`.

        Args:
            bundle: The model.
        """
        return CollateTasks({name: task.collator(bundle.bundles[name]) for name, task in self.tasks.items()})

    def image_size(self, bundle: MultitaskBundle) -> int | None:
        """Pixels a side that images are kept decoded in, the same for all tasks.

        Args:
            bundle: The model.

        Raises:
            UsageError: The tasks have images of several sizes.
        """
        sizes = {name: task.image_size(bundle.bundles[name]) for name, task in self.tasks.items()}
        if len(set(sizes.values())) > 1:
            raise UsageError(
                f"expected the same image size for all tasks, found {sizes}: set preprocessor once for all"
            )
        return next(iter(sizes.values()))

    def shown(self, bundle: MultitaskBundle, example: TaskExample, sample: Mapping[str, Any]) -> dict[str, Any]:
        """A training example as the model sees it, for people.

        Args:
            bundle: The model.
            example: One of `training_examples`.
            sample: What the preprocessor made of it, with the views of objectives.
        """
        own = {name: value for name, value in sample.items() if name != "task"}
        shown = self.tasks[example.part].shown(bundle.bundles[example.part], example.example, own)
        return {"task": example.part, **shown}

    def move(self, bundle: MultitaskBundle, batch: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
        """A batch of training on the device; from here on the model computes with the adapters of its task.

        Args:
            bundle: The model.
            batch: From the collator; `index` becomes the position among the examples of its task.
            device: Where the model is.
        """
        name = batch["task"]
        choose_task(bundle.model, name)
        moved = self.tasks[name].move(bundle.bundles[name], batch, device)
        return {**moved, "index": moved["index"] - self.first.get(name, 0)}

    def evaluate(
        self, bundle: MultitaskBundle, examples: Sequence[TaskExample], loading: EvaluationLoading
    ) -> Evaluation | None:
        """Evaluate task by task.

        Args:
            bundle: The model.
            examples: Of one task or of several.
            loading: Gives the batches.
        """
        found: dict[str, Evaluation | None] = {}
        for name, task in self.tasks.items():
            own = [example.example for example in examples if example.part == name]
            if own:
                choose_task(bundle.model, name)
                split = _split_of(task, own)
                found[name] = task.evaluate(bundle.bundles[name], split, _OneTask(loading, name))
        parts = {name: own for name, own in found.items() if own is not None}
        if not parts:
            return None
        scores = {f"{name}/{key}": value for name, own in parts.items() for key, value in own.scores.items()}
        watched = [self._watched(name, scores) for name in parts]
        rows = [{"task": name, **row} for name, own in parts.items() for row in own.rows]
        silent = sum(own.silent for own in parts.values())
        return _Evaluations({SCORE: sum(watched) / len(watched), **scores}, rows, None, silent, parts)

    def _watched(self, name: str, scores: Mapping[str, Any]) -> float:
        """The score that a task is chosen by."""
        key = self.part_scores()[name]
        if key not in scores:
            raise UsageError(
                f"task {name!r} is chosen by {key.partition('/')[2]}, which is not among its scores; add it to the "
                "task's retrieval.metrics"
            )
        return scores[key]


def _group_of(example: Any) -> str | None:
    """The group of a training example; those of most tasks have none."""
    return getattr(example, "group", None)


def _split_of(task: Task[Any], examples: Sequence[Any]) -> Sequence[Any]:
    """The very list of a task that has these examples, by which it knows which split they are."""
    for own in task.examples.values():
        if len(own) == len(examples) and all(map(operator.is_, own, examples)):
            return own
    return examples


@dataclass(frozen=True)
class _Evaluations(Evaluation):
    """Those of several tasks, each of which has files of its own, too."""

    parts: Mapping[str, Evaluation] = field(default_factory=dict)

    def write(self, folder: Path, split: str) -> None:
        """Write what was found of all, and `<task>.<split>` files of each; of one alone only these.

        Args:
            folder: The folder `eval` of a run.
            split: The split's name.
        """
        if len(self.parts) > 1:
            super().write(folder, split)
        for name, own in self.parts.items():
            own.write(folder, f"{name}.{split}")


class _OneTask:
    """Gives the batches of one of several tasks.

    Args:
        loading: Those of all.
        name: The task's.
    """

    def __init__(self, loading: EvaluationLoading, name: str) -> None:
        self.loading, self.name = loading, name
        self.processes: Processes = loading.processes

    def evaluation(self, examples: Sequence[Any]) -> tuple[list[Any], Iterator[dict[str, Any]]]:
        """The examples that can be evaluated, and this process's share of them as batches.

        Args:
            examples: Those of the task.
        """
        usable, batches = self.loading.evaluation([TaskExample(self.name, example) for example in examples])
        return [example.example for example in usable], batches


def _task_of(name: str, config: ExperimentConfig) -> Task[Any]:
    """The task of an entry, with what it usually trains where that says nothing."""
    kind = TASKS.get(config.task)
    if kind.name == MULTITASK:
        raise UsageError(f"task {name!r}: a multitask inside a multitask: put all tasks into one list")
    if kind.shared_bundle is Task.shared_bundle:
        raise UsageError(
            f"task {name!r}: {kind.name} cannot share its model with another task; train it in a run of its own"
        )
    if config.model.type == RETRIEVER and not kind.wraps_model:
        raise UsageError(
            f"task {name!r}: {kind.name} uses the model that the tasks share as it is; leave out retriever"
        )
    if config.objectives is None:
        config.objectives = [Component(**spec) for spec in kind.usual_objectives]
    return cast("Task[Any]", kind(config))

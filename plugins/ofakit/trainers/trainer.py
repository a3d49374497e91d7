"""The trainer that ModelScope's `build_trainer(name="ofakit")` makes, for every task.

    trainer = build_trainer("ofakit", {"cfg_file": "train_conf.json"})
    trainer.train()

The task defines what the experiment is for (`ofakit.tasks`), the updater makes an update, and the hooks decide when to
save, evaluate or log. The trainer derives from ModelScope's EpochBasedTrainer for its hooks and interface, and replaces
the parts that are in the way: its constructor runs `cfg_modify_fn` several times and wraps models for CUDA only, its
loop cannot be resumed in the middle of an epoch, and its train step does not combine gradients of several processes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from modelscope.trainers.builder import TRAINERS
from modelscope.utils.config import Config
from modelscope.utils.constant import ModeKeys, TrainerStages

from ofakit.config import ExperimentConfig
from ofakit.config.component import Component
from ofakit.errors import UsageError, did_you_mean
from ofakit.files import write_text
from ofakit.hooks.building import build_hooks
from ofakit.hub import ModelBundle, save_bundle
from ofakit.hub_ids import sought_on_hub
from ofakit.input_files import refuse_odd_files
from ofakit.json_text import to_json
from ofakit.models.adapters import adapter_of, trainable_share
from ofakit.models.compiled_layers import compile_layers, compiler_fault
from ofakit.models.gradient_checkpointing import recompute_layers
from ofakit.models.onednn import use_onednn
from ofakit.objectives.base import Objective
from ofakit.processes import join_processes
from ofakit.tasks import TASKS
from ofakit.tasks.base import Task
from ofakit.trainers.batch_size import batches_of_step, find_batch_size, reckoned_batch_size
from ofakit.trainers.experiment import read_experiment, with_arguments
from ofakit.trainers.host_memory import keep_freed_memory
from ofakit.trainers.loading import Loading
from ofakit.trainers.named_objectives import objectives_of_parts, parameters_of_losses
from ofakit.trainers.optimization import build_optimizer, build_scheduler
from ofakit.trainers.out_of_memory import StepOutOfMemory, note_halvings, noted_halvings
from ofakit.trainers.run_directory import all_alone_in, make_run_directory, move_earlier_run
from ofakit.trainers.run_log import log_to_file, run_logger
from ofakit.trainers.run_plan import plan_lines, run_plan
from ofakit.trainers.sharding import Sharding
from ofakit.trainers.snapshot_writer import SnapshotWriter
from ofakit.trainers.state import read_plain
from ofakit.trainers.stop_request import StoppableTrainer, StopRequest
from ofakit.trainers.training_progress import TrainingProgress
from ofakit.trainers.update import Updater, WeightedObjectives
from ofakit.trainers.weight_average import WeightAverage

__all__ = ["Trainer"]


@TRAINERS.register_module(module_name="ofakit")
class Trainer(StoppableTrainer):
    """Train a model for a task, from one configuration.

    Args:
        model: A model directory, hub id or `ModelBundle` to start from; None uses the configuration.
        cfg_file: One of our experiments or a ModelScope configuration.json; None takes that of the model directory.
        cfg_modify_fn: Takes the configuration as ModelScope's `Config` and returns the one to use; called once.
        arg_parse_fn: As in ModelScope's `Config.to_args`.
        train_dataset: Examples instead of the reader's: an MsDataset, a Hugging Face data set, dicts or examples.
        eval_dataset: Likewise, for evaluation.
        preprocessor: Replaces the task's; a callable or {"train": …, "val": …} from an example to tensors.
        data_collator: Replaces the task's; a callable or {"train": …, "val": …} from a list of those to a batch.
        optimizers: An optimizer and a schedule to use instead of the configuration's.
        seed: Replaces the configuration's.
        callbacks: Hooks in addition to those of the configuration.
        max_epochs: Replaces `train.max_epochs`.
        work_dir: Replaces the configuration's run directory.
        device: "cpu" or "gpu"; None takes a GPU if there is one.
        use_fp16: Compute in fp16, whatever the configuration says.
        model_revision: Revision of a hub id; kept for compatibility with ModelScope.
        launcher: Kept for compatibility with ModelScope; processes started by torchrun are found without it.
        experiment: The checked configuration, instead of `cfg_file`.

    Raises:
        UsageError: The configuration, the model or the data cannot be used.
    """

    def __init__(
        self,
        model: str | ModelBundle | None = None,
        cfg_file: str | None = None,
        cfg_modify_fn: Callable[[Config], Config] | None = None,
        arg_parse_fn: Callable[..., Any] | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        preprocessor: Any = None,
        data_collator: Any = None,
        optimizers: tuple[Any, Any] = (None, None),
        seed: int | None = None,
        callbacks: Sequence[Any] | None = None,
        max_epochs: int | None = None,
        work_dir: str | None = None,
        device: str | None = None,
        use_fp16: bool = False,
        model_revision: str | None = None,
        launcher: str | None = None,
        experiment: ExperimentConfig | None = None,
    ) -> None:
        self.started = time.perf_counter()
        experiment = experiment or read_experiment(model, cfg_file, cfg_modify_fn)
        self.experiment = with_arguments(experiment, seed, work_dir, max_epochs, use_fp16)
        self.task = self._build_task()
        if model is None:
            self._look_for_model()
        self.processes = join_processes(device, self.experiment.train.timeout_minutes)
        self._divide_step()
        make_run_directory(self.experiment.work_dir)
        self.logger = run_logger(self.experiment.work_dir, self.processes.is_main)
        self._set_base_attributes(arg_parse_fn)
        self.optimizers = optimizers
        self.updater: Updater
        self.progress: TrainingProgress
        self._set_seed()
        self.examples = self.task.read({"train": train_dataset, "val": eval_dataset})
        self.bundle = model if isinstance(model, ModelBundle) else self.task.build_bundle(model)
        self._place_model()
        self.loading = Loading(
            self.experiment, self.task, self.bundle, self.processes, preprocessor, data_collator, self.logger
        )
        self._register_hooks(callbacks)

    # Construction

    def _build_task(self) -> Task:
        """The task of the experiment; from here on the configuration contains the objectives."""
        with self.experiment.naming_the_file("task"):
            task_class = TASKS.get(self.experiment.task)
        if self.experiment.objectives is None and task_class.usual_objectives:
            self.experiment.objectives = [Component(**spec) for spec in task_class.usual_objectives]
        return task_class(self.experiment)

    def _look_for_model(self) -> None:
        """Refuse a model that does not exist before any data is read."""
        path = self.experiment.model.path
        if path is not None:
            with self.experiment.naming_the_file("model"):
                if sought_on_hub(path) is None:
                    refuse_odd_files(path)

    def _set_seed(self) -> None:
        """Seed every generator; processes draw different dropout masks."""
        seed = self.experiment.seed
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def _place_model(self) -> None:
        """Put the model on its device and freeze its parts."""
        torch.manual_seed(self.experiment.seed + self.processes.rank)
        self.model = self.bundle.model.to(self.device)
        use_onednn(self.model)
        with self.experiment.naming_the_file("train"):
            self.model.freeze(self.experiment.train.freeze)
        if adapter_of(self.model) is not None:
            self.logger.info("%.2f %% of the parameters are trained", 100 * trainable_share(self.model))
        if self.experiment.train.recompute:
            recompute_layers(self.model)
        if self.experiment.train.compile:
            fault = compiler_fault(self.device)
            if fault is None:
                compile_layers(self.model)
            else:
                self.logger.warning(
                    f"train.compile: layers run uncompiled, since compilation does not work here ({fault})"
                )
        self.task.adopt(self.bundle)
        self.task.see_regions(self.bundle)

    def _register_hooks(self, callbacks: Sequence[Any] | None) -> None:
        """The configuration's hooks, or the default ones if it has none, and those passed as arguments."""
        evaluates = bool(self.examples.get("val"))
        for hook in build_hooks(
            self.experiment, self.task.usual_score, evaluates, self.logger, self.task.part_scores()
        ):
            self.register_hook(hook)
        for hook in callbacks or []:
            self.register_hook(hook)
        self.invoke_hook(TrainerStages.after_init)

    # Training

    def train(
        self, checkpoint_path: str | None = None, load_all_state: bool = True, goes_on: bool = False, **_: Any
    ) -> None:
        """Train to the end. A run that does not continue from a snapshot moves an earlier run in its directory aside.

        Args:
            checkpoint_path: A snapshot to continue from, or a model directory with the weights to start from.
            load_all_state: Whether to continue from a snapshot in every respect, or to load only its weights.
            goes_on: Whether to continue a run that wrote no snapshot: one of several processes that ran out of memory
                then starts again with halved batches.
            **_: Ignored arguments of ModelScope's trainer.

        Raises:
            UsageError: There is nothing to train on, the snapshot does not fit, or another run uses the directory.
            LossNotFinite: The loss was not finite too often.
        """
        if not self.examples.get("train"):
            raise UsageError("there is nothing to train on: the training split is empty or was not given")
        if self.experiment.stages:
            raise UsageError("an experiment with stages is trained by ofakit.trainers.stages or tools/finetune.py")
        with all_alone_in(self.work_dir, self.processes):
            self._train(checkpoint_path, load_all_state, goes_on)

    def _train(self, checkpoint_path: str | None, load_all_state: bool, goes_on: bool) -> None:
        """Train to the end, in a run directory that no other run uses."""
        if self.device.type == "cpu":
            keep_freed_memory()
        self._fixed = None
        objectives, weights = objectives_of_parts(self.task.parts(self.bundle))
        self.loading.prepare_training(self.examples["train"], objectives)
        snapshot = Path(checkpoint_path) if checkpoint_path is not None and load_all_state else None
        halvings = noted_halvings(Path(self.work_dir)) if snapshot is not None or goes_on else 0
        if snapshot is None:
            if checkpoint_path is not None:
                self._take_weights(checkpoint_path)
            self._leave_earlier_run()
        if self.processes.is_main:
            log_to_file(self.logger, Path(self.work_dir) / "train.log")
        self._prepare_objectives(objectives, resumed=snapshot is not None)
        if self.experiment.train.batch_size == "auto":
            self._settle_batch_size(objectives, weights, snapshot)
        self._build_updater(objectives, weights)
        self.train_dataloader = self.data_loader = self.loading
        if snapshot is not None:
            self._resume(snapshot)
        self._halve_batches(halvings)
        self.save_configuration()
        self.model.train()
        self.writer = SnapshotWriter(self.experiment.train.async_snapshots, self._say_unfit)
        self.updater.before_change = self.writer.let_change
        self._say_what_runs(list(objectives))
        self.progress = TrainingProgress(self)
        stop_request = StopRequest(self._seconds_allowed(), self.started)
        with closing(self.updater), stop_request as self.stop_request, self.progress:
            self.train_loop(self.loading)
            if self.agree(self.stop_request.reason is not None) and self.saved_step == self._iter:
                raise self.stop_request.stopped("after the last step")

    def _halve_batches(self, halvings: int) -> None:
        """Halve every batch this often, or as often as any process has recorded, unless the snapshot already does."""
        agreed = max(self.processes.gather(halvings))
        if agreed > self.updater.halvings:
            self.updater.halvings = agreed
            if self.processes.is_main:
                note_halvings(Path(self.work_dir), self.processes.rank, agreed)
            self.logger.warning(
                f"the run ran out of memory earlier: from now on each batch is split into {2**agreed} parts"
            )

    def _divide_step(self) -> None:
        """The batches of a step, if the configuration sets its number of examples."""
        train = self.experiment.train
        if train.examples_per_step is None:
            return
        batch = train.dataloader.batch_size_per_gpu
        with self.experiment.naming_the_file("train"):
            largest, accumulation = batches_of_step(train.examples_per_step, batch, self.processes.world_size)
            if train.batch_size is None and largest != batch:
                raise UsageError(
                    f"examples_per_step {train.examples_per_step} is not a multiple of {self.processes.world_size} x "
                    f"dataloader.batch_size_per_gpu {batch}; use {largest}, or set batch_size to auto",
                    "examples_per_step",
                )
        self._set_batches(largest, accumulation)

    def _set_batches(self, batch_size: int, accumulation: int) -> None:
        """Give such batches to this run, but not to others with the same configuration."""
        train = self.experiment.train.model_copy(deep=True)
        train.dataloader.batch_size_per_gpu, train.gradient_accumulation = batch_size, accumulation
        self.experiment.train = train

    def _settle_batch_size(
        self, objectives: Mapping[str, Objective], weights: Sequence[float], snapshot: Path | None
    ) -> None:
        """Use the largest batch that fits, or that of the snapshot, from here on as if it were configured."""
        train = self.experiment.train
        if snapshot is None:
            with self.experiment.naming_the_file("train"):
                batch, accumulation = find_batch_size(self.loading, objectives, weights), train.gradient_accumulation
        else:
            before = read_plain(snapshot)["batches"]
            batch, accumulation = before["batch_size"], before["accumulation"]
        if train.examples_per_step is not None:
            batch, accumulation = batches_of_step(train.examples_per_step, batch, self.processes.world_size)
        self._set_batches(batch, accumulation)
        self.experiment.train.batch_size = None
        self.loading.settle_batches(objectives)
        origin = "found by trial" if snapshot is None else f"that of {snapshot}"
        self.logger.info(f"batches of {batch} examples ({origin}), {accumulation} a step")

    def reckon_batch_size(self, an_example: float, objectives: Mapping[str, Objective]) -> list[int]:
        """Set the batch size that a run should find by trying, without trying.

        Args:
            an_example: Bytes that an example keeps for the backward pass.
            objectives: The objectives by name.

        Returns:
            The sizes that would be tried, in order.

        Raises:
            UsageError: Not even one example fits, or the amount of memory cannot be determined.
        """
        train = self.experiment.train
        with self.experiment.naming_the_file("train"):
            tried, batch = reckoned_batch_size(self.loading, an_example)
        accumulation = train.gradient_accumulation
        if train.examples_per_step is not None:
            batch, accumulation = batches_of_step(train.examples_per_step, batch, self.processes.world_size)
        self._set_batches(batch, accumulation)
        self.loading.settle_order(objectives)
        return tried

    def _prepare_objectives(self, objectives: Mapping[str, Objective], resumed: bool) -> None:
        """Prepare the objectives once the initial weights are loaded."""
        work_dir = Path(self.work_dir)
        parts, examples = self.task.parts(self.bundle), self.loading.training_examples
        for objective in objectives.values():
            _, bundle = parts[objective.part]
            objective.prepare(self.task.examples_of(objective.part, examples), bundle, work_dir)
            objective.begin(bundle, work_dir, resumed)

    def _build_updater(self, objectives: Mapping[str, Objective], weights: Sequence[float]) -> None:
        train = self.experiment.train
        module = WeightedObjectives(self.model, objectives, weights, train.precision)
        given_optimizer, given_scheduler = self.optimizers
        of_losses = parameters_of_losses(self.model, objectives)
        if train.sharding != "none" and self.processes.world_size > 1:
            with self.experiment.naming_the_file("train"):
                self._refuse_to_shard(given_optimizer)
                self.sharding = Sharding(module, train.sharding, self.processes, of_losses)
        self.optimizer = given_optimizer or build_optimizer(self.model, train.optimizer, of_losses)
        self.lr_scheduler = given_scheduler or build_scheduler(self.optimizer, train.lr_scheduler, self.max_iters)
        self.updater = Updater(
            module,
            self.optimizer,
            self.lr_scheduler,
            self.processes,
            train.clip_norm,
            train.max_bad_steps,
            self.sharding,
        )
        self.average = None if train.ema is None else WeightAverage(self.model, train.ema)

    def _refuse_to_shard(self, given_optimizer: Any) -> None:
        """Refuse what is not possible with divided weights."""
        if self.experiment.train.precision == "fp16":
            raise UsageError("fp16 loss scaling does not work with sharding; choose bf16 or fp32", "precision")
        if given_optimizer is not None:
            raise UsageError(
                "with sharding the trainer must make the optimizer, found one that was passed in", "sharding"
            )

    def _say_what_runs(self, objectives: Sequence[str]) -> None:
        """Log what is trained on what, and for how long."""
        table = [*plan_lines({**run_plan(self), "objectives": objectives}), f"work_dir    {self.work_dir}"]
        self.logger.info("\n  ".join(["training", *table]))

    def train_loop(self, data_loader: Loading) -> None:
        """Run the remaining epochs.

        Args:
            data_loader: Provides the batches.
        """
        self.invoke_hook(TrainerStages.before_run)
        with self._kept_at_failure():
            self._epochs_left(data_loader)
            self.finish_snapshots()
        self.invoke_hook(TrainerStages.after_run)
        self.save_output()

    def _epochs_left(self, data_loader: Loading) -> None:
        """The loop over epochs and steps."""
        while self._epoch < self._max_epochs and not self._stop_training:
            self._mode, self.epoch_is_over = ModeKeys.TRAIN, False
            self.invoke_hook(TrainerStages.before_train_epoch)
            self.step_began = time.perf_counter()
            self.progress.step_begins()
            self._note_progress()
            for batches in self._steps_left(data_loader):
                self.invoke_hook(TrainerStages.before_train_iter)
                self.train_step(self.model, batches)
                self.progress.step_ends(self)
                self._note_progress(uncounted=1)
                self.invoke_hook(TrainerStages.after_train_iter)
                self._stop_if_asked()
                self._iter += 1
                self._inner_iter += 1
                self._mode = ModeKeys.TRAIN
                self._note_progress()
                self.progress.step_begins()
                if self._stop_training:
                    break
            self.epoch_is_over = True
            if self._iter >= self.max_iters:
                self._stop_training = True
            with self._stoppable():
                self.invoke_hook(TrainerStages.after_train_epoch)
            self._epoch += 1
            self._inner_iter = 0

    def _steps_left(self, loading: Loading) -> Iterator[list[dict[str, Any]]]:
        """The batches of each remaining step of this epoch."""
        for batches in loading.steps(self._epoch, self._inner_iter):
            if self._iter >= self.max_iters:
                return
            yield batches

    def train_step(self, model: Any, inputs: Sequence[Mapping[str, Any]]) -> None:
        """One update of the weights.

        Args:
            model: Unused; the trainer's own is updated.
            inputs: The batches of this process.
        """
        self.model.train()
        batches = [self.task.move(self.bundle, batch, self.device) for batch in inputs]
        bad_steps_before, halvings_before = self.updater.bad_steps, self.updater.halvings
        try:
            self.step_logs = self.updater(batches, self._iter)
        except StepOutOfMemory as error:
            if error.halvings is not None:
                note_halvings(Path(self.work_dir), self.processes.rank, error.halvings)
            raise
        if self.updater.halvings > halvings_before:
            parts = 2**self.updater.halvings
            self.logger.warning(
                f"step {self._iter + 1} ran out of memory: from now on each batch is split into {parts} parts"
            )
        self.step_is_skipped = self.updater.bad_steps > bad_steps_before
        if self.step_is_skipped:
            loss, norm = self.step_logs["loss"], self.step_logs["grad_norm"]
            self.logger.warning(
                f"step {self._iter + 1}: loss {loss:.4g}, gradient norm {norm:.4g}: not finite; the step is skipped "
                f"({self.updater.bad_steps} so far)"
            )
        elif self.average is not None:
            self.average.follow(self._iter + 1)
        self.examples_in_step = self.processes.world_size * sum(len(batch["index"]) for batch in inputs)
        self.log_buffer.update({"lr": self.step_logs["lr"]} if self.step_is_skipped else self.step_logs)

    # Evaluation

    def evaluate(
        self, checkpoint_path: str | None = None, split: str = "val", part: str | None = None, **_: Any
    ) -> dict[str, float]:
        """Evaluate a split with the task, and write the results under `eval/`.

        Args:
            checkpoint_path: A model directory or snapshot whose weights to load first.
            split: "train", "val" or "test".
            part: One of several tasks, to evaluate only that one.
            **_: Ignored arguments of ModelScope's trainer.

        Returns:
            The scores by name.
        """
        if not self.examples.get(split):
            raise UsageError(f"no examples to evaluate on in {split!r}: {did_you_mean(split, self.examples)}")
        self._mode = ModeKeys.EVAL  # until the next step: it tells ModelScope's loggers what they log
        self.model.eval()
        with self._interruptible(), self._to_be_judged(checkpoint_path):
            examples = self.examples[split] if part is None else self.task.one_part(part, self.examples[split])
            evaluation = self.task.evaluate(self.bundle, examples, self.loading)
        if evaluation is not None and self.processes.is_main:
            evaluation.write(Path(self.work_dir) / "eval", split)
        found = None if evaluation is None else (dict(evaluation.scores), evaluation.silent)
        scores, self.silent = self.processes.gather(found)[0]
        if self.silent:
            self.logger.warning(f"{split}: the model gave no output for {self.silent} examples, which count as empty")
        self._metric_values = scores
        self.evaluations += 1
        return scores

    # Files

    def _take_weights(self, path: str) -> None:
        """Load only the weights of a snapshot or a model directory."""
        self.bundle.take_weights(Path(path), allow_partial=self.experiment.model.allow_partial)

    def _leave_earlier_run(self) -> None:
        """Move the files of an earlier run in the run directory aside."""
        if self.processes.is_main:
            move_earlier_run(Path(self.work_dir))
        self.processes.wait()

    def save_best(self, scores: Mapping[str, float], part: str | None = None) -> None:
        """Write the model directory `best/`, or that of one of several tasks, `best_of/<task>/`.

        Args:
            scores: The scores of the best model.
            part: One of several tasks.
        """
        bundle = self.bundle if part is None else self.task.parts(self.bundle)[part][1]
        self._save_bundle(bundle, "best" if part is None else f"best_of/{part}", {"scores": dict(scores)})

    def save_output(self) -> None:
        """Write the model directory `output/`."""
        self._save_bundle(self.bundle, "output", {})

    def _save_bundle(self, bundle: ModelBundle, name: str, about: Mapping[str, Any]) -> None:
        with self._to_be_judged():
            if self.processes.is_main:
                save_bundle(bundle, Path(self.work_dir) / name, {**about, "step": self._iter}, keep_strangers=True)
        self.processes.wait()

    @contextmanager
    def _to_be_judged(self, checkpoint: str | None = None) -> Iterator[None]:
        """A block in which the bundle has the model to evaluate and save: the moving average of the weights, if any.

        A checkpoint's weights replace the model's own; with a divided model, those of a copy for the block.
        """
        if self.sharding is None:
            if checkpoint is not None:
                self._take_weights(checkpoint)
                self.average = None
            with nullcontext() if self.average is None else self.average.in_place():
                yield
            return
        weights = None if self.average is None else self.average.state_dict()
        with self.sharding.whole_model(self.model, weights) as self.bundle.model:
            try:
                if checkpoint is not None:
                    self._take_weights(checkpoint)
                yield
            finally:
                self.bundle.model = self.model

    def save_configuration(self) -> None:
        """Write `conf.json`, with which the run can be repeated."""
        if self.processes.is_main:
            values = self.experiment.model_dump(mode="json")
            write_text(Path(self.work_dir) / "conf.json", to_json(values, indent=1) + "\n")

"""The trainer that ModelScope's `build_trainer(name="ofakit")` makes.

It stands on EpochBasedTrainer for its hooks and its interface, and replaces the parts that are in the way: its
constructor runs `cfg_modify_fn` several times and wraps models for CUDA only, its loop cannot be resumed in the middle
of an epoch, and its train step leaves gradients of several processes apart.

    trainer = build_trainer("ofakit", {"cfg_file": "train_conf.json"})
    trainer.train()
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from modelscope.trainers.builder import TRAINERS
from modelscope.trainers.trainer import EpochBasedTrainer
from modelscope.trainers.utils.log_buffer import LogBuffer
from modelscope.utils.config import Config
from modelscope.utils.constant import ModeKeys, TrainerStages

from ofakit.config import ExperimentConfig, load_config, parse_config
from ofakit.config.modelscope_format import from_configuration, is_configuration, run_keys_on_top, with_usual_sections
from ofakit.data import Example, examples_from_dataset
from ofakit.errors import UsageError, did_you_mean
from ofakit.files import replace_folder, write_text
from ofakit.hooks.building import build_hook
from ofakit.hub import ModelBundle, resolve_model, save_bundle
from ofakit.models.ofa import load_checkpoint
from ofakit.models.ofa.freezing import freeze
from ofakit.objectives import OBJECTIVES
from ofakit.processes import join_processes
from ofakit.text import OFATokenizer
from ofakit.trainers.assemble import build_bundle, build_reader
from ofakit.trainers.evaluation import (
    Prediction,
    StyleJudge,
    build_metrics,
    caption_batches,
    score_predictions,
    style_judge,
    write_evaluation,
)
from ofakit.trainers.host_memory import keep_freed_memory
from ofakit.trainers.loading import Loading, move_batch
from ofakit.trainers.optimization import build_optimizer, build_scheduler
from ofakit.trainers.resume_check import fixed_values, refuse_changes
from ofakit.trainers.run_directory import make_run_directory, move_earlier_run
from ofakit.trainers.state import (
    load_weights,
    random_state,
    read_state,
    restore_random_state,
    save_state,
    snapshot_folder,
)
from ofakit.trainers.update import Updater, WeightedObjectives

__all__ = ["CaptionTrainer"]

DONE_BY_THE_TRAINER = ("OptimizerHook", "TorchAMPOptimizerHook", "LrSchedulerHook", "DDPHook", "LoadCheckpointHook")
NEED_EVALUATION = ("EvaluationHook", "BestSnapshotHook")
DEFAULT_HOOKS = (
    {"type": "EvaluationHook", "interval": 1},
    {"type": "BestSnapshotHook", "metric_key": "cider"},
    {"type": "MetricsFileHook", "interval": 10},
    {"type": "TensorboardHook", "interval": 10},
    {"type": "SnapshotHook", "interval": 1, "max_checkpoint_num": 2},
)


@TRAINERS.register_module(module_name="ofakit")
class CaptionTrainer(EpochBasedTrainer):
    """Fine-tune OFA to caption, from one configuration.

    Args:
        model: A model directory, hub id or `ModelBundle` to start from; None follows the configuration.
        cfg_file: An experiment of ours or a ModelScope configuration.json; None takes that of the model directory.
        cfg_modify_fn: Gets the configuration as ModelScope's `Config` and returns the one to use; called once.
        arg_parse_fn: As in ModelScope's `Config.to_args`.
        train_dataset: Examples instead of the reader's: an MsDataset, a Hugging Face data set, dicts or Examples.
        eval_dataset: Likewise, for evaluation.
        preprocessor: Replaces ours; a callable or {"train": …, "val": …} from Example to tensors.
        data_collator: Replaces ours; a callable or {"train": …, "val": …} from a list of those to a batch.
        optimizers: An optimizer and a schedule to use instead of the configuration's.
        seed: Replaces the configuration's.
        callbacks: Hooks beside those of the configuration.
        max_epochs: Replaces `train.max_epochs`.
        work_dir: Replaces the configuration's run directory.
        device: "cpu" or "gpu"; None takes a GPU where there is one.
        use_fp16: Compute in fp16, whatever the configuration says.
        model_revision: Of a hub id; kept for ModelScope's sake.
        launcher: Kept for ModelScope's sake; processes that torchrun started are found without it.
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
        self.experiment = experiment or self._read_experiment(model, cfg_file, cfg_modify_fn)
        replacements = {"seed": seed, "work_dir": work_dir}
        self.experiment = self.experiment.model_copy(
            update={key: value for key, value in replacements.items() if value is not None}
        )
        if max_epochs is not None:
            self.experiment.train.max_epochs = max_epochs
        if use_fp16:
            self.experiment.train.precision = "fp16"
        with self.experiment.naming_the_file("evaluation", "metrics"):
            build_metrics(self.experiment.evaluation.metrics)  # what is wrong there is said before anything is read
        self.processes = join_processes(device)
        self._set_base_attributes(arg_parse_fn, optimizers)
        self._set_seed()
        self._read_examples(train_dataset, eval_dataset)
        self._build_model(model)
        self.loading = Loading(self.experiment, self.bundle, self.processes, preprocessor, data_collator, self.logger)
        self._build_hooks(callbacks)

    # Construction

    def _read_experiment(
        self, model: Any, cfg_file: str | None, cfg_modify_fn: Callable[[Config], Config] | None
    ) -> ExperimentConfig:
        """The configuration, of ours or ModelScope's form, after `cfg_modify_fn`."""
        if cfg_file is None:
            if not isinstance(model, str):
                raise UsageError("the trainer needs cfg_file, or a model directory that has a configuration.json")
            cfg_file = str(resolve_model(model) / "configuration.json")
        path = Path(cfg_file)
        values = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        files: Sequence[Path] = [path]
        if not is_configuration(values):
            loaded = load_config(path)
            values, files = loaded.model_dump(), loaded.files
        if cfg_modify_fn is None:
            return parse_config(_as_experiment(values), files)
        try:
            return parse_config(_as_experiment(_modified(values, cfg_modify_fn)))
        except UsageError as error:
            raise UsageError(f"the configuration that cfg_modify_fn made of {path}: {error}") from None

    def _set_base_attributes(self, arg_parse_fn: Callable[..., Any] | None, optimizers: tuple[Any, Any]) -> None:
        """What BaseTrainer, EpochBasedTrainer's properties and ModelScope's hooks look for."""
        self.work_dir = self.experiment.work_dir
        make_run_directory(self.work_dir)
        self.cfg = Config(self.experiment.model_dump())
        self.cfg.train.work_dir = self.work_dir
        self.args = self.cfg.to_args(arg_parse_fn) if arg_parse_fn else None
        self.log_buffer, self.visualization_buffer = LogBuffer(), LogBuffer()
        self.timestamp = time.strftime("%Y%m%d_%H%M%S")
        self.logger = _logger(self.work_dir, self.processes.is_main)
        self.device = self.processes.device
        self._dist = self.processes.world_size > 1
        self.parallel_groups: dict[str, Any] = {}
        self._seed = self.experiment.seed
        self._mode = ModeKeys.TRAIN
        self._hooks: list[Any] = []
        self._max_epochs = self.experiment.train.max_epochs
        self._epoch = self._iter = self._inner_iter = 0
        self._stop_training = False
        self._metric_values: dict[str, float] | None = None
        self.optimizers = optimizers
        self.evaluations = 0
        self.epoch_is_over = False
        self.seconds_before = 0.0
        self.step_logs: dict[str, float] = {}
        self.step_is_skipped = False
        self.examples_in_step = 0
        self.updater: Updater | None = None
        self.judge: StyleJudge | None = None

    def _set_seed(self) -> None:
        """Start every generator; processes draw different dropout masks."""
        seed = self.experiment.seed
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def _read_examples(self, train_dataset: Any, eval_dataset: Any) -> None:
        """The examples of every split, from the reader or from what was given."""
        data = self.experiment.data
        self.reader = build_reader(self.experiment)
        columns = (data.reader.model_extra or {}).get("column_map") or None
        given = {"train": train_dataset, "val": eval_dataset}
        self.examples: dict[str, list[Example]] = {}
        for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
            if given.get(name) is not None:
                self.examples[name] = examples_from_dataset(given[name], columns)
            elif self.reader is not None and split is not None:
                self.examples[name] = self.reader.read(split)

    def _build_model(self, model: Any) -> None:
        """Model, tokenizer and styles, on the device."""
        if isinstance(model, ModelBundle):
            self.bundle = model
        else:
            config = self.experiment
            if isinstance(model, str):
                config = config.model_copy(update={"model": config.model.model_copy(update={"path": model})})
            self.bundle = build_bundle(config, self.examples.get("train", []))
        self.experiment.preprocessor, self.experiment.generation = self.bundle.preprocessor, self.bundle.generation
        torch.manual_seed(self.experiment.seed + self.processes.rank)
        self.model = self.bundle.model.to(self.device)
        freeze(self.model, self.experiment.train.freeze)
        if self.bundle.styles is not None:
            self.bundle.styles.check(e.style for examples in self.examples.values() for e in examples)

    def _build_hooks(self, callbacks: Sequence[Any] | None) -> None:
        """The configuration's hooks, or the usual ones where it names none.

        Raises:
            UsageError: An EvaluationHook has nothing to evaluate on.
        """
        evaluates = bool(self.examples.get("val"))
        usual = [dict(hook) for hook in DEFAULT_HOOKS if evaluates or hook["type"] not in NEED_EVALUATION]
        specs = [hook.model_dump() for hook in self.experiment.train.hooks] or usual
        if not evaluates and any(spec["type"] == "EvaluationHook" for spec in specs):
            raise UsageError(
                "train.hooks has an EvaluationHook, and there are no examples to evaluate on: give data.val a "
                "split or an eval_dataset, or leave the hook out"
            )
        for number, spec in enumerate(specs):
            if spec["type"] in DONE_BY_THE_TRAINER:
                self.logger.info(f"hook {spec['type']} is left out: the trainer itself does its work")
                continue
            if spec["type"] == "TensorboardHook":
                spec.setdefault("out_dir", str(Path(self.work_dir) / "tensorboard"))
            with self.experiment.naming_the_file("train", "hooks", number):
                self.register_hook(build_hook(spec))
        for hook in callbacks or []:
            self.register_hook(hook)
        self.invoke_hook(TrainerStages.after_init)

    # What hooks ask

    @property
    def iters_per_epoch(self) -> int:
        """Steps of one epoch."""
        return self.loading.steps_per_epoch

    @property
    def max_iters(self) -> int:
        """Steps of the whole run."""
        steps = self._max_epochs * self.iters_per_epoch
        limit = self.experiment.train.max_steps
        return steps if limit is None else min(steps, limit)

    @property
    def is_over_after_this_epoch(self) -> bool:
        """Whether no epoch follows the one that runs."""
        return self._epoch + 1 >= self._max_epochs or self._stop_training or self._iter >= self.max_iters

    @property
    def seconds(self) -> float:
        """Seconds of the run, those before a resume included."""
        return self.seconds_before + time.perf_counter() - self.started

    # Training

    def train(self, checkpoint_path: str | None = None, load_all_state: bool = True, **_: Any) -> None:
        """Train to the end. A run that does not go on from a snapshot moves an earlier one in its directory aside.

        Args:
            checkpoint_path: A snapshot to go on from, or a model directory whose weights to start with.
            load_all_state: Whether to go on from a snapshot in every respect, or to take only its weights.
            **_: Ignored arguments of ModelScope's trainer.

        Raises:
            UsageError: There is nothing to train on, or the snapshot does not fit.
            LossNotFinite: The loss was not finite too often.
        """
        if not self.examples.get("train"):
            raise UsageError("there is nothing to train on: the training split is empty or was not given")
        if self.experiment.stages:
            raise UsageError("an experiment with stages is trained by ofakit.trainers.stages or tools/finetune.py")
        if self.device.type == "cpu":
            keep_freed_memory()
        objectives, weights = self._build_objectives()
        self.bundle.objectives = tuple(dict.fromkeys([*(self.bundle.objectives or ()), *objectives]))
        self.loading.prepare_training(self.examples["train"], objectives)
        resumed = checkpoint_path is not None and load_all_state
        if checkpoint_path is not None and not resumed:
            self._take_weights(Path(checkpoint_path))
        if not resumed:
            self._leave_earlier_run()
        for objective in objectives.values():
            if hasattr(objective, "prepare"):
                objective.prepare(self.loading.training_examples, self.bundle, Path(self.work_dir))
            if hasattr(objective, "begin"):
                objective.begin(self.bundle, Path(self.work_dir), resumed)
        self._build_updater(objectives, weights)
        self.train_dataloader = self.data_loader = self.loading
        if resumed:
            self._resume(Path(checkpoint_path))
        self.save_configuration()
        if self.processes.is_main:
            _log_to_file(self.logger, Path(self.work_dir) / "train.log")
        self.model.train()
        self.train_loop(self.loading)

    def _build_objectives(self) -> tuple[dict[str, Any], list[float]]:
        """What is trained, by its type, and the weight of each."""
        context = {"pad_token_id": self.bundle.tokenizer.pad_token_id, "bundle": self.bundle}
        objectives, weights = {}, []
        for number, component in enumerate(self.experiment.objectives):
            spec = component.model_dump()
            with self.experiment.naming_the_file("objectives", number):
                weights.append(OBJECTIVES.weight(spec))
                spec.pop("weight", None)
                objectives[component.type] = OBJECTIVES.build(spec, **context)
        return objectives, weights

    def _build_updater(self, objectives: dict[str, Any], weights: list[float]) -> None:
        train = self.experiment.train
        module = WeightedObjectives(self.model, objectives, weights, train.precision)
        given_optimizer, given_scheduler = self.optimizers
        self.optimizer = given_optimizer or build_optimizer(self.model, train.optimizer)
        self.lr_scheduler = given_scheduler or build_scheduler(self.optimizer, train.lr_scheduler, self.max_iters)
        self.updater = Updater(
            module, self.optimizer, self.lr_scheduler, self.processes, train.clip_norm, train.max_bad_steps
        )

    def train_loop(self, data_loader: Loading) -> None:
        """Run the epochs that are left.

        Args:
            data_loader: Gives the batches.
        """
        self.invoke_hook(TrainerStages.before_run)
        while self._epoch < self._max_epochs and not self._stop_training:
            self._mode, self.epoch_is_over = ModeKeys.TRAIN, False
            self.invoke_hook(TrainerStages.before_train_epoch)
            for batches in self._steps_left(data_loader):
                self.invoke_hook(TrainerStages.before_train_iter)
                self.train_step(self.model, batches)
                self.invoke_hook(TrainerStages.after_train_iter)
                self._iter += 1
                self._inner_iter += 1
                self._mode = ModeKeys.TRAIN
                if self._stop_training:
                    break
            self.epoch_is_over = True
            if self._iter >= self.max_iters:
                self._stop_training = True
            self.invoke_hook(TrainerStages.after_train_epoch)
            self._epoch += 1
            self._inner_iter = 0
        self.invoke_hook(TrainerStages.after_run)
        self.save_output()

    def _steps_left(self, loading: Loading) -> Iterator[list[dict[str, Any]]]:
        """The batches of each step of this epoch that is still to do."""
        for batches in loading.steps(self._epoch, self._inner_iter):
            if self._iter >= self.max_iters:
                return
            yield batches

    def train_step(self, model: Any, inputs: Sequence[Mapping[str, Any]]) -> None:
        """One update of the weights.

        Args:
            model: Unused; the trainer's own is updated.
            inputs: The batches that this process contributes.
        """
        self.model.train()
        mean_std = self.bundle.preprocessor.mean_std
        batches = [move_batch(batch, self.device, mean_std) for batch in inputs]
        bad_steps_before = self.updater.bad_steps
        self.step_logs = self.updater(batches, self._iter)
        self.step_is_skipped = self.updater.bad_steps > bad_steps_before
        if self.step_is_skipped:
            loss, norm = self.step_logs["loss"], self.step_logs["grad_norm"]
            self.logger.warning(
                f"step {self._iter + 1}: loss {loss:.4g}, gradient norm {norm:.4g}: not finite; the step is skipped "
                f"({self.updater.bad_steps} so far)"
            )
        self.examples_in_step = self.processes.world_size * sum(len(batch["index"]) for batch in inputs)
        self.log_buffer.update({"lr": self.step_logs["lr"]} if self.step_is_skipped else self.step_logs)

    # Evaluation

    def evaluate(self, checkpoint_path: str | None = None, split: str = "val", **_: Any) -> dict[str, float]:
        """Caption a split, score the captions and write both under `eval/`.

        Args:
            checkpoint_path: A model directory or snapshot whose weights to take first.
            split: "train", "val" or "test".
            **_: Ignored arguments of ModelScope's trainer.

        Returns:
            The scores by name.
        """
        if checkpoint_path is not None:
            self._take_weights(Path(checkpoint_path))
        if not self.examples.get(split):
            raise UsageError(f"no examples to evaluate on in {split!r}: {did_you_mean(split, self.examples)}")
        self._mode = ModeKeys.EVAL  # until the next step: ModelScope's loggers tell by it what they log
        predictions = self.predict(self.examples[split])
        scores = self.processes.gather(self._score(split, predictions) if self.processes.is_main else None)[0]
        self._metric_values = scores
        self.evaluations += 1
        return scores

    def _score(self, split: str, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Score captions and write them with their scores."""
        settings = self.experiment.evaluation
        if self.judge is None:
            self.judge = style_judge(self.reader, self.examples, Path(self.work_dir))
        metrics = build_metrics(settings.metrics)
        seed = self.experiment.seed if settings.shuffled_images else None
        scores = score_predictions(predictions, self.judge, seed, metrics)
        write_evaluation(Path(self.work_dir) / "eval", split, scores, predictions)
        return scores

    def predict(self, examples: Sequence[Example]) -> list[Prediction]:
        """Caption examples; every process does its share and gets all of them.

        Args:
            examples: What to caption; those without references or with broken images are left out.
        """
        self.model.eval()
        usable, batches = self.loading.evaluation(examples)
        styles = [example.style for example in usable]
        found = list(caption_batches(self.bundle, batches, styles, self.experiment.evaluation.precision))
        by_index = {index: rest for share in self.processes.gather(found) for index, *rest in share}
        listed = self.bundle.styles
        predictions = []
        for index, example in enumerate(usable):
            style = listed.spelling(example.style) if listed is not None and example.style else example.style
            caption, before_rerank = by_index[index]
            predictions.append(
                Prediction(
                    example.id,
                    example.image_path,
                    style,
                    caption.text,
                    caption.score,
                    tuple(example.references),
                    caption.p_yes,
                    before_rerank,
                )
            )
        return predictions

    # Files

    def save_snapshot(self, epoch_is_over: bool) -> Path:
        """Write everything a resumed run needs.

        Args:
            epoch_is_over: Whether this is the end of the epoch's loop.

        Returns:
            The snapshot's folder.
        """
        after_loop = 0 if epoch_is_over else 1  # within the loop the counters still name the step that was just made
        step, done = self._iter + after_loop, self._inner_iter + after_loop
        whole_epoch = epoch_is_over and done >= self.iters_per_epoch  # not so where max_steps or a hook ended it
        folder = snapshot_folder(Path(self.work_dir), step)
        rest = {
            "epoch": self._epoch + 1 if whole_epoch else self._epoch,
            "iter": step,
            "inner_iter": 0 if whole_epoch else done,
            "epoch_is_over": epoch_is_over,
            "stopped_early": self._stop_training and step < self.max_iters,
            "evaluations": self.evaluations,
            "metric_values": self._metric_values,
            "seconds": self.seconds,
            "sampler": self.loading.sampler.state_dict(self._epoch, 0),
            "fixed": fixed_values(self.experiment.train, self.processes.world_size),
            "scheduler": self.lr_scheduler.state_dict(),
            "scaler": self.updater.scaler.state_dict(),
            "bad_steps": [self.updater.bad_steps, self.updater.bad_steps_in_a_row],
            "hooks": [[type(hook).__name__, hook.state_dict()] for hook in self._hooks],
            "random": self.processes.gather(random_state()),
        }
        if self.processes.is_main:
            with replace_folder(folder) as new:
                save_state(new, self.model, self.optimizer, rest)
        self.processes.wait()
        return folder

    def _resume(self, path: Path) -> None:
        """Go on from a snapshot in every respect."""
        state = read_state(path)
        refuse_changes(path, state.get("fixed"), fixed_values(self.experiment.train, self.processes.world_size))
        load_weights(path, self.model)
        self.optimizer.load_state_dict(state["optimizer"])
        self.loading.sampler.load_state_dict(state["sampler"])
        self._epoch, self._iter, self._inner_iter = state["epoch"], state["iter"], state["inner_iter"]
        done = state["epoch_is_over"] and self._iter >= self.max_iters
        self._stop_training = state["stopped_early"] or done
        self.evaluations, self._metric_values = state["evaluations"], state["metric_values"]
        self.seconds_before = state["seconds"]
        self.lr_scheduler.load_state_dict(state["scheduler"])
        self.updater.scaler.load_state_dict(state["scaler"])
        self.updater.bad_steps, self.updater.bad_steps_in_a_row = state["bad_steps"]
        remembered: dict[str, list[Any]] = {}
        for name, memory in state["hooks"]:
            remembered.setdefault(name, []).append(memory)
        for hook in self._hooks:
            if remembered.get(type(hook).__name__):
                hook.load_state_dict(remembered[type(hook).__name__].pop(0))
        restore_random_state(state["random"][self.processes.rank])
        self.logger.info(f"going on from {path}: epoch {self._epoch + 1}, step {self._iter}")

    def _take_weights(self, path: Path) -> None:
        """Only the weights of a snapshot or of a model directory, whose token ids must mean the same."""
        if (path / "config.json").exists():
            theirs, ours = OFATokenizer.from_pretrained(path), self.bundle.tokenizer
            if ours.first_difference(theirs) is not None:
                raise UsageError(
                    f"expected a checkpoint with this run's vocabulary of {len(ours)} tokens, found another, of "
                    f"{len(theirs)} tokens, in {path}; start from that model with its own: --set model.path={path}"
                )
        load_checkpoint(self.model, path, allow_partial=self.experiment.model.allow_partial)

    def _leave_earlier_run(self) -> None:
        """Move what an earlier run left in the run directory aside."""
        if self.processes.is_main:
            move_earlier_run(Path(self.work_dir))
        self.processes.wait()

    def save_best(self, scores: Mapping[str, float]) -> None:
        """Write the model directory `best/`.

        Args:
            scores: What made it the best.
        """
        self._save_bundle("best", {"scores": dict(scores), "step": self._iter})

    def save_output(self) -> None:
        """Write the model directory `output/`."""
        self._save_bundle("output", {"step": self._iter})

    def _save_bundle(self, name: str, about: Mapping[str, Any]) -> None:
        if self.processes.is_main:
            save_bundle(self.bundle, Path(self.work_dir) / name, about)
        self.processes.wait()

    def save_configuration(self) -> None:
        """Write `conf.json`: running it again repeats the run."""
        if self.processes.is_main:
            write_text(Path(self.work_dir) / "conf.json", self.experiment.model_dump_json(indent=1) + "\n")


def _as_experiment(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Our keys, from a configuration of ours or ModelScope's."""
    return from_configuration(values) if is_configuration(values) else run_keys_on_top(values)


def _modified(values: Mapping[str, Any], cfg_modify_fn: Callable[[Config], Config]) -> dict[str, Any]:
    """What `cfg_modify_fn` makes of a configuration."""
    changed = cfg_modify_fn(Config(with_usual_sections(values) if is_configuration(values) else dict(values)))
    if not isinstance(changed, Config):
        raise UsageError(f"cfg_modify_fn must return the configuration that it is given, found {changed!r}")
    return dict(changed._cfg_dict)


def _logger(work_dir: str, is_main: bool) -> logging.Logger:
    """To stderr; processes other than the first only warn. The first keeps its lines for `train.log`."""
    logger = logging.getLogger(f"ofakit.{Path(work_dir).resolve()}")
    logger.propagate = False
    logger.setLevel(logging.INFO if is_main else logging.WARNING)
    _replace_handlers(logger, [logging.StreamHandler(sys.stderr)])
    if is_main:
        logger.addHandler(logging.handlers.MemoryHandler(capacity=1000))
    return logger


def _log_to_file(logger: logging.Logger, path: Path) -> None:
    """Log to a file too, which also gets what was said before it was known to be this run's."""
    file = logging.FileHandler(path, encoding="utf-8")
    said = [record for handler in logger.handlers for record in getattr(handler, "buffer", [])]
    _replace_handlers(logger, [logging.StreamHandler(sys.stderr), file])
    for record in said:
        file.handle(record)


def _replace_handlers(logger: logging.Logger, handlers: Sequence[logging.Handler]) -> None:
    for handler in list(logger.handlers):
        handler.close()
        logger.removeHandler(handler)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)

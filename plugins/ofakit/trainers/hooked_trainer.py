"""What ModelScope's base classes and hooks expect of a trainer: its counters, its buffers and its progress.

EpochBasedTrainer's own constructor is not run, as the trainer here builds these parts differently.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from modelscope.trainers.hooks.evaluation_hook import EvaluationHook
from modelscope.trainers.trainer import EpochBasedTrainer
from modelscope.trainers.utils.log_buffer import LogBuffer
from modelscope.utils.config import Config
from modelscope.utils.constant import ModeKeys

from ofakit.config import ExperimentConfig
from ofakit.processes import Processes
from ofakit.trainers.loading import Loading

__all__ = ["HookedTrainer"]


class HookedTrainer(EpochBasedTrainer):
    """The state of a run as hooks see it.

    Attributes:
        experiment: The configuration.
        processes: This process among the others.
        loading: Provides the batches.
        started: When the run began, by `time.perf_counter`.
        evaluations: Number of evaluations, including those before a resume.
        silent: Number of examples of the last evaluation for which the model gave nothing.
        epoch_is_over: Whether the loop of the epoch has ended and its hooks run.
        step_logs: The numbers of the last step.
        step_is_skipped: Whether the last step changed nothing because its loss or gradient was not finite.
        examples_in_step: Number of examples of the last step, over all processes.
    """

    experiment: ExperimentConfig
    processes: Processes
    loading: Loading
    started: float

    def _set_base_attributes(self, arg_parse_fn: Callable[..., Any] | None) -> None:
        """Sets what BaseTrainer, EpochBasedTrainer's properties and ModelScope's hooks expect."""
        self.work_dir = self.experiment.work_dir
        self.cfg = Config(self.experiment.model_dump())
        self.cfg.train.work_dir = self.work_dir
        self.args = self.cfg.to_args(arg_parse_fn) if arg_parse_fn else None
        self.log_buffer, self.visualization_buffer = LogBuffer(), LogBuffer()
        self.timestamp = time.strftime("%Y%m%d_%H%M%S")
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
        self.evaluations = self.silent = 0
        self.epoch_is_over = False
        self.seconds_before = 0.0
        self.step_logs: dict[str, float] = {}
        self.step_is_skipped = False
        self.examples_in_step = 0
        self.stop_request: Any = None
        self.saved_step: int | None = None
        self.step_began = self.longest_step = self.longest_save = 0.0

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
        """Whether the current epoch is the last one."""
        return self._epoch + 1 >= self._max_epochs or self._stop_training or self._iter >= self.max_iters

    def agree(self, wish: bool) -> bool:
        """Whether any process wants something, such as a snapshot that is due by its clock; every process must call it.

        Args:
            wish: Whether this process wants it.
        """
        return self.processes.total([float(wish)])[0] > 0

    @property
    def ends_the_epoch(self) -> bool:
        """Within the loop: whether the latest step is the last of its epoch."""
        return self._inner_iter + 1 >= self.iters_per_epoch or self._iter + 1 >= self.max_iters

    @property
    def is_evaluated_after_epochs(self) -> bool:
        """Whether an evaluation may follow the last step of an epoch."""
        return any(isinstance(hook, EvaluationHook) for hook in self._hooks)

    @property
    def seconds(self) -> float:
        """Seconds of the run, including those before a resume."""
        return self.seconds_before + time.perf_counter() - self.started

    # What a snapshot saves

    def counters(self, epoch_is_over: bool, uncounted: int | None = None) -> dict[str, Any]:
        """The position from which a resumed run must continue, and the state of the hooks.

        Args:
            epoch_is_over: Whether this is the end of the epoch's loop.
            uncounted: Steps that were made but are not counted yet; None: 1 within the loop, as in hooks.
        """
        if uncounted is None:
            uncounted = 0 if epoch_is_over else 1
        step, done = self._iter + uncounted, self._inner_iter + uncounted
        whole_epoch = epoch_is_over and done >= self.iters_per_epoch  # False if max_steps or a hook ended it
        return {
            "epoch": self._epoch + 1 if whole_epoch else self._epoch,
            "iter": step,
            "inner_iter": 0 if whole_epoch else done,
            "epoch_is_over": epoch_is_over,
            "stopped_early": self._stop_training and step < self.max_iters,
            "evaluations": self.evaluations,
            "metric_values": self._metric_values,
            "seconds": self.seconds,
            "hooks": [[type(hook).__name__, hook.state_dict()] for hook in self._hooks],
        }

    def set_counters(self, state: Mapping[str, Any]) -> None:
        """Continue from there.

        Args:
            state: From `counters`; hooks get back the state of hooks of their type, whatever their order.
        """
        self._epoch, self._iter, self._inner_iter = state["epoch"], state["iter"], state["inner_iter"]
        done = state["epoch_is_over"] and self._iter >= self.max_iters
        self._stop_training = state["stopped_early"] or done
        self.evaluations, self._metric_values = state["evaluations"], state["metric_values"]
        self.seconds_before = state["seconds"]
        of_type: dict[str, list[Any]] = {}
        for name, memory in state["hooks"]:
            of_type.setdefault(name, []).append(memory)
        for hook in self._hooks:
            if of_type.get(type(hook).__name__):
                hook.load_state_dict(of_type[type(hook).__name__].pop(0))

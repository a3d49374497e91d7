"""The interface of objectives, which compute a loss from a batch. There are two kinds.

- `Objective`: a sum over examples. Each micro-batch of each process contributes its share, divided by a normalizer that
  is summed over all of them beforehand, so the gradient is that of the joined batch.
- `JoinedObjective`: a loss of the joined batch as a whole, such as a contrastive loss, where examples are each other's
  negatives. It turns a micro-batch into representations, and the representations of the joined batch into the loss.

    class Alignment(JoinedObjective):
        def represent(self, model, batch): return {"text": model.encode(**model.encoder_inputs(batch))...}
        def loss(self, representations): return clip_loss(representations["text"], representations["image"]), {}

An objective is picklable: `view` runs in the loading processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ofakit.models.base import Model

__all__ = ["JoinedObjective", "Logs", "Objective"]

Logs = Mapping[str, Any]
"""Numbers by name. They are summed over micro-batches and processes; a pair of a sum and a count becomes a mean."""


class Objective(ABC):
    """A loss that is a sum over examples.

    Attributes:
        one_example_per: The unit of which an epoch has one example each, if all objectives of a run agree; the task
            defines the possible units. None is the task's default.
        groups: The groups of examples that it learns from, if a run has several; None: all.
        parameters: Names of parameters of the model that belong to the loss, such as a temperature. They learn at
            `train.optimizer.scale_lr` and do not decay.
        prepares_each_example: Whether `prepare` opens the image of every example or runs a teacher on it. A dry run
            then passes it only the examples that it tries.
        completes_with_model: Whether `complete` runs the model.
        model_kind: The class that the model must have; others are refused before anything is read.
        part: The one of several tasks that it belongs to, by the name in the `task` of batches; None: the only task.
    """

    model_kind: ClassVar[type] = Model
    one_example_per: str | None = None
    groups: Sequence[str] | None = None
    parameters: Sequence[str] = ()
    prepares_each_example: bool = False
    completes_with_model: bool = False
    part: str | None = None

    def prepare(  # noqa: B027 (most objectives need none)
        self, examples: Sequence[Any], bundle: Any, work_dir: Path
    ) -> None:
        """Prepare for training; called once, before `begin`.

        Args:
            examples: The training examples; `index` in a batch is the position in this sequence.
            bundle: The model with tokenizer and settings.
            work_dir: The run directory.
        """

    def begin(  # noqa: B027 (most objectives need none)
        self, bundle: Any, work_dir: Path, resumed: bool
    ) -> None:
        """Look at the weights that training starts with; called once they are loaded.

        Args:
            bundle: The model; in a resumed run it no longer has the initial weights.
            work_dir: The run directory: what a resumed run needs from the start is written there, or read from it.
            resumed: Whether the run continues from a snapshot.
        """

    def view(self, example: Any, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """The objective's own source and target for an example, which the batch contains as `<type>/<name>`.

        Args:
            example: A training example.
            rng: Depends only on seed, epoch and position.
        """
        return {}

    def complete(self, model: Any, batch: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """Entries to add to a batch before anything is counted, such as sequences that the model generates itself.

        Args:
            model: The model; its mode is not changed.
            batch: On the model's device.
            step: Updates made so far.
        """
        return {}

    @abstractmethod
    def normalizer(self, batch: Mapping[str, Any]) -> int:
        """How many of the units that the loss is averaged over the batch has, such as target tokens.

        Args:
            batch: A batch with the entries of `view` and `complete`.
        """

    @abstractmethod
    def __call__(self, model: Any, batch: Mapping[str, Any], normalizer: float, step: int) -> tuple[Tensor, Logs]:
        """The loss of one micro-batch of one process.

        Args:
            model: The model.
            batch: On its device, with the entries of `view` and `complete`.
            normalizer: Sum of `normalizer` over all micro-batches and processes that make one update.
            step: Updates made so far.

        Returns:
            The sum over the micro-batch divided by `normalizer`, a scalar, and the logs; if the objective is one of
            several, these include `loss`.
        """

    def learns_from(self, batch: Mapping[str, Any]) -> bool:
        """Whether it learns from a batch; by default from those of its task. Other batches are not passed to it.

        All batches of a step belong to one task, and to one group if groups are distinguished.

        Args:
            batch: A batch; in a run of several tasks, `task` is the name of its task.
        """
        return self.part is None or self.part == batch.get("task")

    @classmethod
    def has_view(cls) -> bool:
        """Whether it adds its own view to the examples."""
        return cls.view is not Objective.view


class JoinedObjective(Objective):
    """A loss of the joined batch: of all micro-batches and processes that make one update.

    The updater calls `represent` for every micro-batch without gradient, gathers the results, computes the gradient of
    `loss` at the representations, and propagates it back through each micro-batch, which is run again with the same
    dropout masks. The batch of the loss is therefore limited neither by memory nor by the number of processes, and the
    gradient is that of a single process that holds the whole batch.

    Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache),
    https://arxiv.org/abs/2101.06983.
    """

    @abstractmethod
    def represent(self, model: Any, batch: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """What the loss needs from a micro-batch.

        Args:
            model: The model.
            batch: On its device, with the entries of `view` and `complete`.

        Returns:
            Tensors by name. Those of all micro-batches and processes are joined along the first dimension, in the order
            of processes, then of micro-batches; their other dimensions are equal. Tensors of different names may differ
            in length. Floating-point tensors carry the gradient; integers and masks, such as ids that say which passage
            answers which question, are passed on unchanged.
        """

    @abstractmethod
    def loss(self, representations: Mapping[str, Tensor]) -> tuple[Tensor, Logs]:
        """The loss of the joined batch; every process computes the same.

        Args:
            representations: From `represent`, joined; floating-point tensors in fp32 or more.

        Returns:
            The loss, a scalar, and the logs, which are not summed.
        """

    def normalizer(self, batch: Mapping[str, Any]) -> int:
        """Not used: `loss` sees the whole joined batch.

        Args:
            batch: Not used.
        """
        return 1

    def __call__(self, model: Any, batch: Mapping[str, Any], normalizer: float, step: int) -> tuple[Tensor, Logs]:
        """The loss of a batch that is the whole joined batch, in one pass; training does not call this.

        Args:
            model: The model.
            batch: On its device.
            normalizer: Not used.
            step: Not used.
        """
        return self.loss(self.represent(model, batch))

"""What an objective is: from a batch to a loss, in one of two kinds.

- `Objective`: a sum over examples. Each micro-batch of each process gives its share, divided by a normalizer that is
  added up over all of them before, so the gradient is that of the joined batch.
- `JoinedObjective`: a loss of the joined batch as a whole, such as a contrastive one, whose examples are each other's
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
"""Numbers by name. Those of micro-batches and processes are added up; a pair of a sum and a count becomes a mean."""


class Objective(ABC):
    """A loss that is a sum over examples.

    Attributes:
        one_example_per: What an epoch has one example of, where all objectives of a run agree; a task says which there
            are. None is the task's usual.
        groups: Which groups of examples it learns from, where the examples of a run are of several; None: all.
        parameters: Names of parameters of the model that belong to the loss, such as a temperature. They learn at
            `train.optimizer.scale_lr` and do not decay.
        prepares_each_example: Whether `prepare` opens the image of every example, or asks a teacher about it. A dry run
            shows such an objective no more than the examples that it tries.
        completes_with_model: Whether `complete` runs the model.
        model_kind: What the model must be; others are refused before anything is read.
        part: Which of several tasks it is for, whose batches say so by `task`; None: the only one.
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
        """Get ready for training; called once, before `begin`.

        Args:
            examples: The training examples; `index` in a batch is the position among them.
            bundle: The model with tokenizer and settings.
            work_dir: The run directory.
        """

    def begin(  # noqa: B027 (most objectives need none)
        self, bundle: Any, work_dir: Path, resumed: bool
    ) -> None:
        """Look at the weights that training starts with; called once they are there.

        Args:
            bundle: The model; of a resumed run it does not have the weights of the start.
            work_dir: The run directory: what a resumed run needs of the start is written there, or read.
            resumed: Whether the run goes on from a snapshot.
        """

    def view(self, example: Any, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """The objective's own source and target for an example, which stand in the batch as `<type>/<name>`.

        Args:
            example: A training example.
            rng: Depends on seed, epoch and position alone.
        """
        return {}

    def complete(self, model: Any, batch: Mapping[str, Any], step: int) -> Mapping[str, Any]:
        """Entries to lay over a batch before anything is counted, such as sequences that the model writes itself.

        Args:
            model: The model; it is left in the mode it was in.
            batch: On the model's device.
            step: Updates done before.
        """
        return {}

    @abstractmethod
    def normalizer(self, batch: Mapping[str, Any]) -> int:
        """How much of what the loss is a mean over the batch has, such as target tokens.

        Args:
            batch: With the entries of `view` and `complete`.
        """

    @abstractmethod
    def __call__(self, model: Any, batch: Mapping[str, Any], normalizer: float, step: int) -> tuple[Tensor, Logs]:
        """The loss of one micro-batch of one process.

        Args:
            model: The model.
            batch: On its device, with the entries of `view` and `complete`.
            normalizer: Sum of `normalizer` over all micro-batches and processes that make one update.
            step: Updates done before.

        Returns:
            The scalar sum over the micro-batch divided by `normalizer`, and the logs; where the objective is one of
            several these include `loss`.
        """

    def learns_from(self, batch: Mapping[str, Any]) -> bool:
        """Whether it learns from a batch: by default from those of its task. Nothing else is asked about other batches.

        All batches of a step are of one task, and of one group where groups are told apart.

        Args:
            batch: Of a run of several tasks with the name of one as `task`.
        """
        return self.part is None or self.part == batch.get("task")

    @classmethod
    def has_view(cls) -> bool:
        """Whether it adds a view of its own to the examples."""
        return cls.view is not Objective.view


class JoinedObjective(Objective):
    """A loss of the joined batch: of all micro-batches and processes that make one update.

    The updater calls `represent` for every micro-batch without gradient, gathers what it gave, takes the gradient of
    `loss` at the representations, and sends it back through each micro-batch, which is run once more with the dropout
    masks that it had. So the batch of the loss is bound neither by memory nor by the number of processes, and the
    gradient is that of one process that holds it all.

    Source: Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache),
    https://arxiv.org/abs/2101.06983.
    """

    @abstractmethod
    def represent(self, model: Any, batch: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """What the loss needs of a micro-batch.

        Args:
            model: The model.
            batch: On its device, with the entries of `view` and `complete`.

        Returns:
            Tensors by name, each with a first dimension along which those of all micro-batches and processes are
            joined, in the order of processes, then of micro-batches; the other dimensions are the same in each of
            them. Names may differ in length. Floating-point tensors carry the gradient; whole numbers and masks, such
            as ids that say which passage answers which question, are handed on as they are.
        """

    @abstractmethod
    def loss(self, representations: Mapping[str, Tensor]) -> tuple[Tensor, Logs]:
        """The loss of the joined batch; every process computes the same.

        Args:
            representations: From `represent`, joined; floating-point ones in fp32 or more.

        Returns:
            The scalar loss, and the logs, which are not added up.
        """

    def normalizer(self, batch: Mapping[str, Any]) -> int:
        """Not used: `loss` sees the whole joined batch.

        Args:
            batch: Not looked at.
        """
        return 1

    def __call__(self, model: Any, batch: Mapping[str, Any], normalizer: float, step: int) -> tuple[Tensor, Logs]:
        """The loss of a batch that is the whole joined batch, in one pass; not what training calls.

        Args:
            model: The model.
            batch: On its device.
            normalizer: Not used.
            step: Not used.
        """
        return self.loss(self.represent(model, batch))

"""Distillation token by token: at every position of a caption the student learns the teacher's whole distribution.

    {"type": "token_distillation", "teacher": "work_dir/large/best", "weight": 0.5, "temperature": 2.0}

With z and t the logits of student and teacher, T the temperature and n the target tokens of the joined batch,

    L = T^2 / n  sum_tokens KL(softmax(t / T) | softmax(z / T)),    dL / dz = T / n (softmax(z / T) - softmax(t / T))

T^2 keeps the size of the gradient as T grows. Together with `cross_entropy`, the two weights balance what people wrote
against the teacher's distribution, and both share a single forward pass of the student. The teacher reads the same
batch, in evaluation mode and without gradient; it is frozen and belongs neither to the parameters of the run nor to its
snapshots.

Sources: Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531, section 2; Kim and Rush 2016,
https://arxiv.org/abs/1606.07947, section 3.1 (word level).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.models.precision import compute_dtype
from ofakit.objectives._projection import project, projected_loss, target_places
from ofakit.objectives._teacher import find_teacher, load_teacher, refuse_other_inputs, refuse_other_vocabulary
from ofakit.objectives.base import Objective
from ofakit.objectives.cross_entropy import target_states
from ofakit.preprocessors.batches import move_batch

__all__ = ["TokenDistillation", "distillation_loss"]


class TokenDistillation(Objective):
    """Divergence of the student's distributions from the teacher's, along the captions of the data.

    Args:
        teacher: A model directory or hub id, with the student's vocabulary, styles and prompt.
        temperature: Divides the logits of both, above 0.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: There is no such teacher, or the temperature is out of range.
    """

    model_kind = Seq2SeqModel

    def __init__(self, teacher: str | None = None, temperature: float = 2.0, pad_token_id: int = 1) -> None:
        if not temperature > 0:
            raise UsageError(f"token_distillation: expected a temperature above 0, found {temperature}")
        self.path = find_teacher("token_distillation", teacher)
        self.temperature, self.pad_token_id = temperature, pad_token_id
        self.teacher: Any = None
        self.mean_std: str | None = None

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Load the teacher and check that it understands the student's inputs.

        Args:
            examples: The training examples.
            bundle: The student.
            work_dir: Not used.

        Raises:
            UsageError: Vocabulary, prompts or image normalisation differ, or the images are too large for it.
        """
        teacher = load_teacher(self.path, bundle.model.output_embedding.device)
        refuse_other_vocabulary(bundle, teacher, self.path)
        refuse_other_inputs(bundle, teacher, self.path, (example.style for example in examples))
        self.teacher, self.mean_std = teacher.model, teacher.mean_std

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of target tokens.

        Args:
            batch: With `target` (B, U).
        """
        return int((batch["target"] != self.pad_token_id).sum())

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        Args:
            model: The student.
            batch: `input_ids`, `decoder_input_ids`, `target`, and with images `patch_images`, `patch_masks`;
                `patch_features`, the output of a frozen backbone of the student, are only for the student.
            normalizer: Target tokens of all micro-batches and processes that make one update.
            step: Not used.

        Returns:
            The loss, and the logs `loss` and `agreement`: the share of the tokens at which both models have the same
            first choice.
        """
        there = target_places(batch["target"], self.pad_token_id)
        hidden = target_states(model, batch)[there]
        with torch.no_grad():
            pixels = {name: value for name, value in batch.items() if name != "patch_features"}
            pixels = move_batch(pixels, hidden.device, self.mean_std)
            taught = target_states(self.teacher, pixels)[there]
        loss, agreement = distillation_loss(
            hidden,
            model.output_embedding,
            taught,
            self.teacher.output_embedding,
            self.temperature,
            1 / normalizer,
            model.output_bias,
            self.teacher.output_bias,
        )
        return loss, {"loss": loss.detach(), "agreement": agreement}


def distillation_loss(
    hidden: Tensor,
    weight: Tensor,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    temperature: float,
    scale: float = 1.0,
    bias: Tensor | None = None,
    teacher_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """T^2 KL(teacher | student) at temperature T, summed over tokens; logits of both exist for one chunk at a time.

    Args:
        hidden: (N, d) states of the student.
        weight: (V, d) output embedding of the student.
        teacher_hidden: (N, D) states of the teacher at the same positions.
        teacher_weight: (V, D) output embedding of the teacher.
        temperature: Divides the logits of both, above 0.
        scale: Factor on both results.
        bias: (V,), added to the student's logits, or None.
        teacher_bias: (V,), added to the teacher's, or None.

    Returns:
        The loss, differentiable in `hidden` and `weight`, and the number of tokens at which both models prefer the same
        token, which is not.

    >>> states = torch.zeros(1, 2, requires_grad=True)
    >>> loss, _ = distillation_loss(states, torch.eye(2), torch.tensor([[3.0, 0.0]]), torch.eye(2), 1.0)
    >>> loss.backward(); round(loss.item(), 4), [round(slope, 4) for slope in states.grad[0].tolist()]
    (0.5023, [-0.4526, 0.4526])
    """
    projection = teacher_weight.detach().to(compute_dtype(teacher_hidden))

    def gradient(logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taught = project(teacher_hidden[rows], projection, teacher_bias).to(logits.dtype)
        agreement = (logits.argmax(-1) == taught.argmax(-1)).sum()
        log_p, log_q = logits.div_(temperature).log_softmax(-1), taught.div_(temperature).log_softmax(-1)
        q = log_q.exp()
        divergence = (q * log_q.sub_(log_p)).sum()
        return temperature**2 * divergence, agreement.to(logits.dtype), log_p.exp_().sub_(q).mul_(temperature)

    return projected_loss(hidden, weight, gradient, len(hidden), scale, bias)

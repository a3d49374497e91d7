"""Cross entropy of answers that are right to some degree, as in visual question answering.

    {"type": "soft_answer", "label_smoothing": 0.0}

L = mean over questions of score × (mean of the loss over the answer's tokens): a long answer counts as much as a short
one, and an answer given by few annotators counts less. In batches without scores every answer counts as right.

Source: VL-T5 (https://github.com/j-min/VL-T5), `src/vqa_model.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.objectives._projection import projected_loss, smoothed_loss, target_places
from ofakit.objectives.base import Objective
from ofakit.objectives.cross_entropy import target_states

__all__ = ["SoftAnswer"]


class SoftAnswer(Objective):
    """The loss of answers.

    Args:
        label_smoothing: Probability taken from the target and spread over the other tokens, in [0, 1).
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    model_kind = Seq2SeqModel

    def __init__(self, label_smoothing: float = 0.0, pad_token_id: int = 1) -> None:
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label_smoothing must be at least 0 and below 1, found {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.pad_token_id = pad_token_id

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of questions.

        Args:
            batch: With `target` `(B, U)`.
        """
        return len(batch["target"])

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        Args:
            model: A model that generates.
            batch: The inputs of the model, `decoder_input_ids` and `target` `(B, U)`, and optionally `score` `(B,)`.
            normalizer: Questions of all micro-batches and processes that make one update.
            step: Not used.

        Returns:
            The sum over questions divided by `normalizer`, and the logs `loss` and `nll`, the loss without smoothing.
        """
        rows, columns = target_places(batch["target"], self.pad_token_id)
        target = batch["target"][rows, columns]
        hidden = target_states(model, batch)[rows, columns]
        weight = 1 / (batch["target"] != self.pad_token_id).sum(1).clamp(min=1)
        weight = (weight * batch["score"] if "score" in batch else weight)[rows]

        def gradient(logits: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            loss, nll, slope = smoothed_loss(logits, target[places], self.label_smoothing)
            own = weight[places].to(loss.dtype)
            return (own * loss).sum(), (own * nll).sum(), slope.mul_(own[:, None])

        head = model.output_embedding, gradient, len(target), 1 / normalizer, model.output_bias
        loss, nll = projected_loss(hidden, *head)
        return loss, {"loss": loss.detach(), "nll": nll}

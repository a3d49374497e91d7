"""Cross entropy of a text for which an objective has its own source, such as a caption with masked words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.objectives._sentinels import sentinel_ids
from ofakit.objectives._views import view_loss
from ofakit.objectives.base import Objective
from ofakit.text.codec import TextCodec

__all__ = ["ViewObjective"]


class ViewObjective(Objective):
    """Base of such objectives; a subclass defines `view`.

    Attributes:
        name: The objective's type, which names its view in a batch.
        with_image: Whether the encoder also sees the image.
        needs: Tokens that it puts into texts; if the vocabulary lacks them, they are added, with rows in the model.
        needed: Their ids, in order.

    Args:
        max_length: Tokens of the text.
        label_smoothing: As in cross entropy.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: A number is out of range.
    """

    model_kind = Seq2SeqModel
    name: ClassVar[str]
    with_image: ClassVar[bool] = True
    needs: Sequence[str] = ()

    def __init__(self, max_length: int = 256, label_smoothing: float = 0.0, pad_token_id: int = 1) -> None:
        if not 0 <= label_smoothing < 1 or max_length < 1:
            raise UsageError(
                f"{self.name}: expected label_smoothing of at least 0 and below 1 and max_length of at least 1, found "
                f"{label_smoothing} and {max_length}"
            )
        self.max_length, self.label_smoothing, self.pad_token_id = max_length, label_smoothing, pad_token_id
        self.codec: TextCodec
        self.needed: list[int] = []
        self.positions: int | None = None

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Find out how texts are encoded and how many tokens the model has positions for.

        Args:
            examples: Not used.
            bundle: Model, tokenizer and preprocessor.
            work_dir: Not used.
        """
        self.needed = sentinel_ids(bundle, self.needs)
        self.codec = bundle.codec()
        self.positions = getattr(getattr(bundle.model, "config", None), "max_position_embeddings", None)

    def room(self, before: str, after: str = "") -> int:
        """How many tokens of a text fit between the parts of the prompt, bos and eos.

        Args:
            before: The part of the prompt before the text.
            after: The part after the text.

        Raises:
            UsageError: The prompt alone uses up all positions of the model.
        """
        if self.positions is None:
            return self.max_length
        around = len(self.codec.fixed(before)) + len(self.codec.fixed(after)) + self.codec.around
        if around >= self.positions:
            raise UsageError(
                f"{self.name}: the prompt takes {around} tokens, but the model has only {self.positions} positions; "
                "raise model.config.max_position_embeddings"
            )
        return self.positions - around

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of target tokens.

        Args:
            batch: A batch with the view's `target`.
        """
        return int((batch[f"{self.name}/target"] != self.pad_token_id).sum())

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        Args:
            model: A model that generates.
            batch: A batch with the view.
            normalizer: Target tokens of all micro-batches and processes that make one update; may be 0.
            step: Not used.

        Returns:
            The loss, and the logs `loss` and `nll`, per token.
        """
        loss, nll = view_loss(
            model, batch, self.name, self.with_image, self.pad_token_id, self.label_smoothing, 1 / max(normalizer, 1)
        )
        return loss, {"loss": loss.detach(), "nll": nll}

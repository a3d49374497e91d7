"""Distillation by whole captions: the teacher writes one for every training image, and the student learns from them.

    {"type": "sequence_distillation", "teacher": "work_dir/large/best", "weight": 0.5, "num_beams": 5}

The mode of the teacher's distribution over captions represents the distribution, so the loss is a cross entropy. The
teacher writes before training, once per image and style, by beam search with its own prompt, image size and generation
settings. Its captions are kept in `teacher_captions.jsonl` in the run directory, where people and a resumed run can
read them. They are text, so teacher and student may have different vocabularies. If this is the only objective, an
epoch has one example per image and style; together with `cross_entropy`, one per caption.

Source: Kim and Rush 2016, https://arxiv.org/abs/1606.07947, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ofakit.data.expansion import is_empty
from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.objectives._teacher import find_teacher
from ofakit.objectives._teacher_captions import teacher_captions
from ofakit.objectives._views import view_loss
from ofakit.objectives.base import Objective
from ofakit.preprocessors.caption import CaptionPreprocessor

__all__ = ["SequenceDistillation"]

NAME = "sequence_distillation"


class SequenceDistillation(Objective):
    """Cross entropy of the captions that a teacher wrote.

    Args:
        teacher: A model directory or hub id; the model must know the student's styles.
        num_beams: Width of its beam; None is its own setting.
        max_length: Tokens before eos; None is its own setting.
        label_smoothing: As in cross entropy.
        batch_size: Images that it captions at once.
        precision: The precision that it computes in: "fp32", "bf16" or "fp16".
        workers: Loading processes for each training process while it writes.
        pad_token_id: The id that targets are padded with; must be the model's.

    Raises:
        UsageError: There is no such teacher, or a number is out of range.
    """

    model_kind = Seq2SeqModel

    one_example_per = "image"
    prepares_each_example = True

    def __init__(
        self,
        teacher: str | None = None,
        num_beams: int | None = None,
        max_length: int | None = None,
        label_smoothing: float = 0.0,
        batch_size: int = 16,
        precision: str = "fp32",
        workers: int = 0,
        pad_token_id: int = 1,
    ) -> None:
        if not 0 <= label_smoothing < 1 or batch_size < 1 or workers < 0:
            raise UsageError(
                f"{NAME}: expected label_smoothing of at least 0 and below 1, batch_size of at least 1 and workers of "
                f"at least 0, found {label_smoothing}, {batch_size} and {workers}"
            )
        self.path = find_teacher(NAME, teacher)
        self.search = {"num_beams": num_beams, "max_length": max_length}
        self.loading: dict[str, Any] = {"batch_size": batch_size, "precision": precision, "workers": workers}
        self.label_smoothing, self.pad_token_id = label_smoothing, pad_token_id
        self.targets: list[dict[str, Tensor]] = []

    def prepare(self, examples: Sequence[Any], bundle: Any, work_dir: Path) -> None:
        """Let the teacher write its captions, unless it already has for this run, and encode them.

        Args:
            examples: The training examples; `index` in a batch is the position in this sequence.
            bundle: The student.
            work_dir: The run directory, which the processes of a run share.

        Raises:
            UsageError: The teacher does not know a style, cannot be loaded, or wrote nothing at all.
        """
        device = bundle.model.output_embedding.device
        captions = teacher_captions(self.path, examples, Path(work_dir), device, self.search, **self.loading)
        encode = CaptionPreprocessor(bundle.tokenizer, bundle.styles, "train", bundle.preprocessor).target
        silence = {
            "target": torch.tensor([self.pad_token_id]),
            "decoder_input_ids": torch.tensor([bundle.tokenizer.start_token_id]),
        }
        encoded = {text: silence if is_empty(text) else encode(text) for text in dict.fromkeys(captions)}
        self.targets = [encoded[text] for text in captions]

    def complete(self, model: Any, batch: Mapping[str, Any], step: int) -> dict[str, Any]:
        """The teacher's captions of a batch.

        Args:
            model: Not used.
            batch: On the model's device, with `index`.
            step: Not used.

        Returns:
            Entries to add to the batch: `sequence_distillation/target` and `…/decoder_input_ids` (B, U), and
            `…/input_ids`, the same tensor object as in the batch, so that objectives share the encoder pass.
        """
        rows = [self.targets[index] for index in batch["index"].tolist()]
        device = batch["input_ids"].device
        entries = {
            f"{NAME}/{key}": pad_sequence([row[key] for row in rows], True, self.pad_token_id).to(device)
            for key in ("target", "decoder_input_ids")
        }
        return {**entries, f"{NAME}/input_ids": batch["input_ids"]}

    def normalizer(self, batch: Mapping[str, Tensor]) -> int:
        """The number of tokens of the teacher's captions.

        Args:
            batch: A batch with the entries of `complete`.
        """
        return int((batch[f"{NAME}/target"] != self.pad_token_id).sum())

    def __call__(
        self, model: Any, batch: Mapping[str, Tensor], normalizer: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one micro-batch of one process.

        Args:
            model: The student.
            batch: A batch with the entries of `complete`.
            normalizer: Tokens of the teacher's captions of all micro-batches and processes that make one update.
            step: Not used.

        Returns:
            The loss, and the logs `loss` and `nll`, per token.
        """
        loss, nll = view_loss(model, batch, NAME, True, self.pad_token_id, self.label_smoothing, 1 / normalizer)
        return loss, {"loss": loss.detach(), "nll": nll}

"""How well one text answers another, with both read together: any sequence-classification model of transformers.

    encoder = CrossEncoder("DIR_OR_HUB_ID")
    encoder.score([("Who sings ?", "A bird sings ."), ("Who sings ?", "The cat sleeps .")])    # (2,) float32

A model with one label gives its logit. One with two gives the log-odds of the second, log p / (1 - p); of one with
more the label that means relevant must be named. `probabilities` gives p, in [0, 1], instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ofakit.errors import ModelNotFinite, UsageError, did_you_mean
from ofakit.models.encoders.hugging_face import local_directory
from ofakit.models.onednn import use_onednn
from ofakit.models.precision import autocast
from ofakit.models.transformers_directory import read_pretrained
from ofakit.models.weights import some_of
from ofakit.processes import device_named

__all__ = ["CrossEncoder"]

_WINDOW = 4096
"""Pairs that are sorted by length together; what is in memory at once."""

_LONGEST = 512
"""Tokens of a pair where neither tokenizer nor network says how many they can take."""


class CrossEncoder:
    """Scores pairs of texts.

    Args:
        directory: A directory of transformers, or a hub id.
        max_length: Tokens of a pair, special ones included; None: as many as the model takes.
        label: Name of the label that means relevant; only of a model with three or more.
        device: "cpu", "gpu" or "cuda:1"; None takes a GPU where there is one.
        precision: "fp32", "bf16" or "fp16", in which matrix products are computed.
        batch_tokens: Tokens of a batch, padding included.

    Raises:
        UsageError: There is no such model, it lacks the layer that classifies, or it has no such label.
    """

    def __init__(
        self,
        directory: str,
        max_length: int | None = None,
        label: str | None = None,
        device: str | None = None,
        precision: str = "fp32",
        batch_tokens: int = 16_384,
    ) -> None:
        self.directory = str(local_directory(str(directory)))
        self.device, self.precision, self.batch_tokens = device_named(device), precision, batch_tokens
        self.tokenizer, self.model = _read(self.directory)
        self.model.to(self.device).eval()
        use_onednn(self.model)
        self.label = _label_number(self.model.config, label, self.directory)
        self.max_length = max_length or _longest(self.tokenizer, self.model.config)

    def score(self, pairs: Sequence[tuple[str, str]], probabilities: bool = False) -> np.ndarray:
        """How well the second text of each pair answers the first.

        Args:
            pairs: Questions with passages; what is too long is cut, the longer of the two first.
            probabilities: Give p, in [0, 1], instead of the log-odds.

        Returns:
            (n,) float32, higher is better.

        Raises:
            ModelNotFinite: A score is not finite.
        """
        scores = np.empty(len(pairs), dtype=np.float32)
        for start in range(0, len(pairs), _WINDOW):
            self._score_window(pairs[start : start + _WINDOW], scores[start : start + _WINDOW])
        bad = np.flatnonzero(~np.isfinite(scores))
        if len(bad):
            question, passage = pairs[int(bad[0])]
            raise ModelNotFinite(
                f"{self.directory} gives {question[:40]!r} with {passage[:40]!r} the score {scores[bad[0]]}; expected "
                "a finite one. Its weights are damaged, or need another precision"
            )
        return 0.5 * (1 + np.tanh(0.5 * scores)) if probabilities else scores

    def _score_window(self, pairs: Sequence[tuple[str, str]], scores: np.ndarray) -> None:
        encoded = self.tokenizer(
            [first for first, _ in pairs], [second for _, second in pairs], truncation=True, max_length=self.max_length
        )
        lengths = [len(ids) for ids in encoded["input_ids"]]
        for rows in batches_by_length(lengths, self.batch_tokens):
            chosen = {name: [values[row] for row in rows] for name, values in encoded.items()}
            batch = self.tokenizer.pad(chosen, return_tensors="pt").to(self.device)
            with torch.inference_mode(), autocast(self.device, self.precision):
                logits = self.model(**batch).logits.float()
            scores[rows] = self._log_odds(logits).cpu().numpy()

    def _log_odds(self, logits: torch.Tensor) -> torch.Tensor:
        if logits.shape[1] == 1:
            return logits[:, 0]
        others = [number for number in range(logits.shape[1]) if number != self.label]
        return logits[:, self.label] - logits[:, others].logsumexp(1)


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Places in batches of similar length, the longest first, so that what does not fit into memory shows at once.

    Args:
        lengths: Of each item.
        batch_tokens: The items of a batch times the longest of them is at most this, unless one alone is longer.

    >>> batches_by_length([3, 9, 2, 4], 9)
    [[1], [3, 0], [2]]
    """
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batches and (len(batches[-1]) + 1) * lengths[batches[-1][0]] <= batch_tokens:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches


def _read(directory: str) -> tuple[Any, Any]:
    """Tokenizer and model of a directory."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    problem = f"no sequence-classification model of transformers in {directory}"
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
    except (OSError, ValueError) as error:
        raise UsageError(f"{problem}: {str(error).partition(chr(10))[0]}") from None
    model, missing = read_pretrained(AutoModelForSequenceClassification, directory, problem)
    if missing:
        raise UsageError(
            f"{directory} is not a cross-encoder: it lacks {some_of(missing)}. Expected a model that was trained for "
            "sequence classification"
        )
    return tokenizer, model


def _label_number(config: Any, label: str | None, directory: str) -> int:
    """Which logit means relevant."""
    names = [str(config.id2label[number]) for number in range(config.num_labels)]
    if label is not None:
        if label not in names:
            raise UsageError(f"{directory} has no label {label!r}: {did_you_mean(label, names)}", "label")
        return names.index(label)
    if len(names) > 2:
        raise UsageError(
            f"{directory} has {len(names)} labels, {some_of(names)}; name the one that means 'relevant' with label",
            "label",
        )
    return len(names) - 1


def _longest(tokenizer: Any, config: Any) -> int:
    """Tokens that both can take; a tokenizer that does not know says 1e30."""
    known = tokenizer.model_max_length if tokenizer.model_max_length < 1e6 else _LONGEST
    return int(min(known, getattr(config, "max_position_embeddings", None) or known))

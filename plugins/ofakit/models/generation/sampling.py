"""Sampling with top-k, nucleus and temperature, one random stream per example.

Nucleus sampling: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration",
https://arxiv.org/abs/1904.09751. The order is temperature, bans, top-k, top-p, as in transformers. A draw inverts the
distribution function at a uniform number from the example's own generator, so an example's samples do not depend on the
batch it stands in.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ofakit.models.generation.hypotheses import CHECK_EVERY, NEGATIVE, Hypothesis, banned_after
from ofakit.models.generation.protocol import Stepper
from ofakit.models.generation.settings import SearchSettings
from ofakit.models.generation.vocabulary import Vocabulary, finite, largest, log_total

__all__ = ["Sampling", "draw", "nucleus"]


class Sampling:
    """The samples of a batch of examples.

    Args:
        vocabulary: Scores the next tokens; holds the temperature.
        settings: How to draw.
        seeds: One per example.
        device: Where the decoder is.
    """

    def __init__(
        self, vocabulary: Vocabulary, settings: SearchSettings, seeds: list[int], device: torch.device
    ) -> None:
        rows = len(seeds) * settings.num_return_sequences
        self.vocabulary = vocabulary
        self.settings = settings
        self.tokens = torch.full((rows, settings.max_length + 2), vocabulary.special.pad, device=device)
        self.tokens[:, 0] = vocabulary.special.bos
        self.scores = torch.zeros(rows, device=device)
        self.live = torch.ones(rows, dtype=torch.bool, device=device)
        shape = (settings.num_return_sequences, settings.max_length + 1)
        uniform = [torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        self.uniform = torch.cat(uniform).to(device)

    def run(self, decoder: Stepper) -> list[list[Hypothesis]]:
        """Draw to the end.

        Args:
            decoder: Fresh, with `num_return_sequences` rows per example.

        Returns:
            For every example `num_return_sequences` samples, best first. A score is the sum of the model's
            log-probabilities after the temperature, before bans, top-k and top-p, over the penalised length.
        """
        last = self.settings.max_length
        for step in range(last + 1):
            hidden = decoder.step(self.vocabulary.to_ids(self.tokens[:, step]))
            tokens, scores = self.closing(hidden) if step == last else self.next(hidden, step)
            self.tokens[:, step + 1] = torch.where(self.live, tokens, self.vocabulary.special.pad)
            self.scores += torch.where(self.live, scores, 0.0)
            self.live &= tokens != self.vocabulary.special.eos
            look = self.scores.device.type == "cpu" or (step + 1) % CHECK_EVERY == 0
            if look and not bool(self.live.any()):
                break
        return self.collect()

    def next(self, hidden: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Draw one token for every row.

        Args:
            hidden: `(rows, d)`.
            step: Tokens so far, bos not counted.

        Returns:
            Local tokens and their log-probabilities, `(rows,)` each; eos with -inf where nothing may follow.
        """
        special = self.vocabulary.special
        logits = self.vocabulary.logits(hidden)
        total = log_total(logits)
        banned_after(self.tokens, step, self.settings, special).apply(logits)
        logits = finite(logits)
        values, columns = self.shortlist(logits)
        probabilities = nucleus(values.softmax(-1), self.settings.top_p) if columns is not None else values.softmax(-1)
        place = draw(probabilities, self.uniform[:, step])
        tokens = place if columns is None else columns.gather(1, place)
        value = logits.gather(1, tokens)
        if self.vocabulary.rounded:
            value = torch.where(value == NEGATIVE, NEGATIVE, self.vocabulary.exact_logits(hidden, tokens))
        scores = finite(value - total)[:, 0]
        return torch.where(scores == NEGATIVE, special.eos, tokens[:, 0]), scores

    def shortlist(self, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """The logits to draw from.

        Args:
            logits: `(rows, V)`.

        Returns:
            In descending order with their columns where top-k or top-p asks for that, else all, and none.
        """
        if self.settings.top_k:
            return largest(logits, min(self.settings.top_k, logits.shape[1]))
        if self.settings.top_p < 1:
            return logits.sort(dim=-1, descending=True)
        return logits, None

    def closing(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """End every row with eos, as `next` gives it.

        Args:
            hidden: `(rows, d)`.
        """
        eos = self.vocabulary.special.eos
        ends = torch.full_like(self.tokens[:, 0], eos)
        return ends, self.vocabulary.log_probabilities(hidden, ends)

    def collect(self) -> list[list[Hypothesis]]:
        """Read the samples, best first for every example; what the model gave no number for is left out."""
        lengths = (self.tokens[:, 1:] != self.vocabulary.special.pad).sum(1)
        scores = (self.scores / lengths**self.settings.length_penalty).tolist()
        rows = self.vocabulary.to_ids(self.tokens).tolist()
        found = [
            Hypothesis(row[1 : length + 1], score)
            for row, length, score in zip(rows, lengths.tolist(), scores, strict=True)
        ]
        count = self.settings.num_return_sequences
        groups = [found[start : start + count] for start in range(0, len(found), count)]
        return [sorted((h for h in group if h.score > NEGATIVE), key=lambda h: -h.score) for group in groups]


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the fewest likeliest tokens that hold the share `top_p`, at least one; the others get 0.

    Args:
        probabilities: `(rows, n)`, descending.
        top_p: In (0, 1].

    >>> nucleus(torch.tensor([[0.5, 0.3, 0.2]]), 0.7)
    tensor([[0.5000, 0.3000, 0.0000]])
    """
    if top_p >= 1:
        return probabilities
    before = probabilities.cumsum(-1) - probabilities
    return torch.where(before < top_p, probabilities, 0.0)


def draw(weights: Tensor, uniform: Tensor) -> Tensor:
    """Invert the distribution function of every row.

    Args:
        weights: `(rows, n)`, not negative, any sum over 0.
        uniform: `(rows,)` in [0, 1).

    Returns:
        `(rows, 1)` columns, never one of weight 0; 0 where the weights are NaN.

    >>> draw(torch.tensor([[0.5, 0.0, 0.5]]), torch.tensor([0.6]))
    tensor([[2]])
    """
    cumulative = weights.nan_to_num(nan=0.0).cumsum(-1)
    total = cumulative[:, -1:]
    target = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True).clamp_(max=weights.shape[1] - 1)

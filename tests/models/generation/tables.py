"""A model that is a table of logits, so that every sequence's probability is known, and searches in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from ofakit.models.generation.generate import Hypothesis
from ofakit.models.generation.protocol import SearchRules, SpecialTokens
from torch import Tensor, nn

BOS, PAD, EOS = 0, 1, 2


class TableSteps:
    """The tokens that every row has been given."""

    def __init__(self, model: TableModel, examples: Tensor, rows: int) -> None:
        self.model, self.examples, self.rows = model, examples, rows
        self.past = torch.zeros(len(examples) * rows, 0, dtype=torch.long)

    def step(self, tokens: Tensor) -> Tensor:
        self.model.steps += 1
        table = self.model.table
        if self.past.shape[1] == 0 and len(tokens) == len(self.examples):
            self.past = tokens.repeat_interleave(self.rows)[:, None]
            return table[self.examples, -1, tokens]
        self.past = torch.cat([self.past, tokens[:, None]], 1)
        before = self.past[:, -2] if self.past.shape[1] > 1 else torch.full_like(tokens, -1)
        return table[self.examples.repeat_interleave(self.rows), before, tokens]

    def reorder(self, index: Tensor) -> None:
        self.past = self.past[index]

    def select(self, examples: Tensor) -> None:
        self.past = self.past.view(len(self.examples), self.rows, -1)[examples].flatten(0, 1)
        self.examples = self.examples[examples]


class TableModel(nn.Module):
    """Logits drawn once for every example and last two tokens; an example is its number."""

    project = None
    output_bias = None
    search_rules = SearchRules()
    special_tokens = SpecialTokens(BOS, PAD, EOS)

    def __init__(self, vocabulary: int, seed: int = 0, examples: int = 4, eos: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        table = torch.randn(examples, vocabulary + 1, vocabulary, vocabulary, generator=generator) * 1.5
        table[..., EOS] += eos
        self.register_buffer("table", table)
        self.output_embedding = torch.eye(vocabulary)
        self.steps = 0

    def encoder_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return {"number": batch["number"]} if "number" in batch else {}

    def encode(self, number: Tensor) -> Tensor:
        return number

    def start(self, encoder_outputs: Tensor, rows: int, max_length: int) -> TableSteps:
        return TableSteps(self, encoder_outputs, rows)

    def decode(self, decoder_input_ids: Tensor, encoder_outputs: Tensor) -> Tensor:
        steps = self.start(encoder_outputs, 1, 0)
        return torch.stack([steps.step(tokens) for tokens in decoder_input_ids.t()], 1)

    def log_probabilities(self, example: int, tokens: list[int]) -> Tensor:
        row = [BOS, *tokens]
        before = row[-2] if len(row) > 1 else -1
        return self.table[example, before, row[-1]].log_softmax(-1)


def examples(*numbers: int) -> dict[str, Tensor]:
    return {"number": torch.tensor(numbers, dtype=torch.long)}


def repeats(row: list[int], size: int) -> bool:
    """Whether a sequence, bos included, holds an n-gram twice."""
    seen = [tuple(row[i : i + size]) for i in range(len(row) - size + 1)] if size else []
    return len(seen) != len(set(seen))


def exhaustive(log_probabilities, special: SpecialTokens, vocabulary: int, max_length, min_length, size, penalty):
    """Every sequence with its score, best first; `log_probabilities(tokens)` are those of the next token."""
    allowed = [token for token in range(vocabulary) if token not in (special.pad, special.eos)]
    found = []
    for length in range(min_length, max_length + 1):
        for body in itertools.product(allowed, repeat=length):
            if repeats([special.bos, *body], size):
                continue
            tokens = [*body, special.eos]
            steps = (log_probabilities(tokens[:i])[tokens[i]] for i in range(len(tokens)))
            found.append(Hypothesis(tokens, float(sum(steps)) / len(tokens) ** penalty))
    return sorted(found, key=lambda hypothesis: -hypothesis.score)


def same(found: list[Hypothesis], wanted: list[Hypothesis]) -> None:
    assert [hypothesis.tokens for hypothesis in found] == [hypothesis.tokens for hypothesis in wanted]
    assert [h.score for h in found] == pytest.approx([h.score for h in wanted], abs=1e-5)

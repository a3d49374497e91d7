"""A model that is nothing like OFA keeps the contract: it is frozen by its parts, and sequences come out of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.base import Seq2SeqModel
from ofakit.models.generation import generate, score_sequences
from ofakit.models.generation.protocol import SpecialTokens
from torch import Tensor, nn

from tests.models.generation.tables import exhaustive, same

BOS, PAD, EOS = 5, 0, 3
VOCABULARY, WIDTH = 6, 12


class Encoded(NamedTuple):
    last_hidden_state: Tensor
    padding_mask: Tensor
    memory: Tensor

    def select(self, index: Tensor) -> Encoded:
        return Encoded(*(part[index] for part in self))


class GRUSteps:
    def __init__(self, model: GRUModel, memory: Tensor, rows: int) -> None:
        self.model, self.rows, self.states = model, rows, memory.repeat_interleave(rows, 0)

    def step(self, tokens: Tensor) -> Tensor:
        if len(tokens) < len(self.states):
            tokens = tokens.repeat_interleave(self.rows)
        self.states = self.model.decoder(self.model.embedding(tokens), self.states)
        return self.model.out(self.model.dropout(self.states))

    def reorder(self, index: Tensor) -> None:
        self.states = self.states[index]

    def select(self, examples: Tensor) -> None:
        self.states = self.states.view(-1, self.rows, self.states.shape[-1])[examples].flatten(0, 1)


class GRUModel(Seq2SeqModel):
    """A recurrent encoder of numbers and a recurrent decoder of tokens, with dropout between it and the projection."""

    special_tokens = SpecialTokens(BOS, PAD, EOS)

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.encoder = nn.GRU(2, WIDTH, batch_first=True)
        self.decoder = nn.GRUCell(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.5)

    @property
    def output_embedding(self) -> Tensor:
        return self.embedding.weight

    def encoder_inputs(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return {"curve": batch["curve"]} if "curve" in batch else {}

    def encode(self, curve: Tensor) -> Encoded:
        states, last = self.encoder(curve)
        return Encoded(states, torch.zeros(states.shape[:2], dtype=torch.bool), last[0])

    def start(self, encoder_outputs: Encoded, rows: int, max_length: int) -> GRUSteps:
        return GRUSteps(self, encoder_outputs.memory, rows)

    def decode(self, decoder_input_ids: Tensor, encoder_outputs: Encoded) -> Tensor:
        steps = self.start(encoder_outputs, 1, decoder_input_ids.shape[1])
        return torch.stack([steps.step(tokens) for tokens in decoder_input_ids.t()], 1)

    def parts(self) -> dict[str, Sequence[nn.Module]]:
        return {"embeddings": [self.embedding], "encoder": [self.encoder]}

    def resize_token_embeddings(self, vocab_size: int) -> None:
        raise NotImplementedError

    def save_pretrained(self, directory: Any) -> None:
        raise NotImplementedError


@pytest.fixture
def model() -> GRUModel:
    torch.manual_seed(0)
    model = GRUModel()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    return model.train()


@pytest.fixture
def batch() -> dict[str, Tensor]:
    return {"curve": torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(1)), "index": torch.arange(3)}


def next_log_probabilities(model: GRUModel, curve: Tensor, tokens: list[int]) -> Tensor:
    model = model.prepare_for_inference()
    ids = torch.tensor([[BOS, *tokens]])
    hidden = model.decode(decoder_input_ids=ids, encoder_outputs=model.encode(curve=curve[None]))[0, -1]
    return (model.output_embedding @ hidden).log_softmax(-1)


def all_sequences(model: GRUModel, curve: Tensor, length: int, least: int, size: int, penalty: float):
    return exhaustive(
        lambda tokens: next_log_probabilities(model, curve, tokens), SpecialTokens(BOS, PAD, EOS), VOCABULARY,
        max_length=length, min_length=least, size=size, penalty=penalty,
    )  # fmt: skip


@pytest.mark.parametrize(("size", "penalty"), [(0, 1.0), (2, 0.0)])
def test_enough_beams_find_the_best_of_all_sequences(model, batch, size, penalty):
    settings = {"max_length": 3, "min_length": 1, "no_repeat_ngram_size": size, "length_penalty": penalty}
    found = generate(model, batch, num_beams=120, num_return_sequences=12, **settings)
    for curve, hypotheses in zip(batch["curve"], found, strict=True):
        same(hypotheses, all_sequences(model, curve, 3, 1, size, penalty)[:12])
    assert len({str([hypothesis.tokens for hypothesis in hypotheses]) for hypotheses in found}) == 3


def test_few_beams_leave_finished_examples_behind_and_keep_the_others_apart(model, batch):
    whole = generate(model, batch, num_beams=3, num_return_sequences=3, max_length=9)
    lengths = {len(hypotheses[0].tokens) for hypotheses in whole}
    assert len(lengths) > 1
    for place, hypotheses in enumerate(whole):
        alone = {"curve": batch["curve"][place : place + 1]}
        same(generate(model, alone, num_beams=3, num_return_sequences=3, max_length=9)[0], hypotheses)


def test_samples_come_from_the_probabilities_of_all_sequences(model, batch):
    draws = 6000
    one = {"curve": batch["curve"][:1]}
    settings = {"max_length": 2, "min_length": 0, "no_repeat_ngram_size": 0}
    found = generate(model, one, do_sample=True, num_return_sequences=draws, seed=4, length_penalty=0.0, **settings)[0]
    counts = Counter(tuple(hypothesis.tokens) for hypothesis in found)
    for hypothesis in all_sequences(model, batch["curve"][0], 2, 0, 0, 0.0):
        expected = math.exp(drawn_log_probability(model, batch["curve"][0], hypothesis.tokens, 2))
        deviation = math.sqrt(expected * (1 - expected) / draws)
        assert abs(counts.pop(tuple(hypothesis.tokens), 0) / draws - expected) < 5 * deviation + 1e-4
    assert not counts


def drawn_log_probability(model: GRUModel, curve: Tensor, tokens: list[int], longest: int) -> float:
    """Pad is never drawn, and eos behind the longest sequence is certain."""
    total = 0.0
    for place, token in enumerate(tokens[:longest]):
        logp = next_log_probabilities(model, curve, tokens[:place])
        total += float(logp[token] - torch.log1p(-logp[PAD].exp()))
    return total


def test_given_sequences_have_the_log_probabilities_of_their_tokens(model, batch):
    sequences = [[1, EOS], [2, 4, 1, EOS], [EOS]]
    found = score_sequences(model, batch, sequences)
    for row, curve, tokens in zip(found, batch["curve"], sequences, strict=True):
        wanted = [float(next_log_probabilities(model, curve, tokens[:i])[token]) for i, token in enumerate(tokens)]
        assert row.tolist() == pytest.approx(wanted + [0.0] * (4 - len(tokens)), abs=1e-5)


def test_its_modes_are_as_before(model, batch):
    model.encoder.eval()
    generate(model, batch, max_length=2)
    assert [model.training, model.encoder.training, model.dropout.training] == [True, False, True]


def test_a_faster_projection_is_used_where_the_model_has_one(model, batch, monkeypatch):
    wanted = generate(model, batch)
    asked = []

    def project(states: Tensor) -> Tensor:
        asked.append(len(states))
        return states @ model.output_embedding.t()

    monkeypatch.setattr(GRUModel, "project", property(lambda self: project))
    for ours, theirs in zip(generate(model, batch), wanted, strict=True):
        same(ours, theirs)
    assert asked[0] == 15


def test_freezing_counts_what_is_frozen_and_twice_is_once(model):
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    assert model.freeze(["encoder"]) == encoder == model.freeze(["encoder"])
    assert model.freeze(["embeddings"]) == encoder + VOCABULARY * WIDTH
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"decoder", "out"}


def test_an_unknown_part_is_refused_before_anything_is_frozen(model):
    with pytest.raises(UsageError, match="no part 'encodr': did you mean 'encoder'") as caught:
        model.freeze(["embeddings", "encodr"])
    assert caught.value.key == "freeze"
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_parameters_of_a_part_and_of_one_that_is_not_there(model):
    assert [id(p) for p in model.parameters_of("encoder")] == [id(p) for p in model.encoder.parameters()]
    assert model.parameters_of("visual") == []


def test_a_copy_for_inference_computes_in_its_precision_and_follows_no_change(model, batch):
    fast = model.prepare_for_inference("bf16")
    assert fast.output_embedding.dtype == torch.bfloat16
    assert not fast.training and not any(parameter.requires_grad for parameter in fast.parameters())
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert model.output_embedding.dtype == torch.float32
    with pytest.raises(UsageError, match="unknown precision"):
        model.prepare_for_inference("bf61")


def test_the_batch_stays_as_it_is_where_nothing_is_frozen(model, batch):
    assert model.with_frozen_features(batch) is batch and model.for_task(None) is model.for_task("vqa") is model
    assert model.device == torch.device("cpu")

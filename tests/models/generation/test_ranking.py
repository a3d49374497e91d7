"""A closed list of sequences: each as likely as alone, whatever stands beside it."""

from __future__ import annotations

import importlib

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.generation import generate, rank_sequences, score_sequences

from tests.models.generation.tables import EOS, TableModel, examples
from tests.models.generation.test_on_ofa import inputs, model

__all__ = ["inputs", "model"]
SEQUENCES = [[5, 6, EOS], [EOS], [3, EOS], [4, 4, 4, 7, EOS]]
ranking = importlib.import_module("ofakit.models.generation.ranking")


@pytest.mark.parametrize("at_once", [1, 60, 2**20])
def test_each_is_as_likely_as_alone(at_once, monkeypatch):
    monkeypatch.setattr(ranking, "LOGITS_AT_ONCE", at_once)
    table = TableModel(13, seed=3)
    found = rank_sequences(table, examples(2, 0, 2), SEQUENCES)
    assert found.shape == (3, 4) and torch.equal(found[0], found[2])
    for row, number in zip(found, (2, 0, 2), strict=True):
        for score, sequence in zip(row, SEQUENCES, strict=True):
            steps = [table.log_probabilities(number, sequence[:k])[token] for k, token in enumerate(sequence)]
            assert float(score) == pytest.approx(float(sum(steps)), abs=1e-5)


def test_on_ofa_they_are_those_of_given_sequences(model, inputs):
    sequences = [[9, 8, 2], [50, 2], [7, 11, 13, 17, 2]]
    model.train()
    found = rank_sequences(model, inputs, sequences)
    assert model.training
    for place, sequence in enumerate(sequences):
        expected = score_sequences(model, inputs, [sequence] * 4).sum(1)
        torch.testing.assert_close(found[:, place], expected, atol=1e-4, rtol=0)
    order = [2, 0, 1]
    turned = rank_sequences(model, inputs, [sequences[place] for place in order])
    torch.testing.assert_close(turned, found[:, order], atol=1e-4, rtol=0)


def test_the_best_of_a_beam_is_ranked_as_its_score_says(model, inputs):
    best = generate(model, inputs, num_beams=3, max_length=6)[0][0]
    found = rank_sequences(model, inputs, [best.tokens])[0, 0]
    assert float(found) / len(best.tokens) == pytest.approx(best.score, abs=1e-4)


@pytest.mark.parametrize("sequences", [[], [[3, EOS], []]])
def test_nothing_is_refused(sequences):
    with pytest.raises(UsageError, match="expected at least one"):
        rank_sequences(TableModel(13), examples(1), sequences)
    with pytest.raises(UsageError, match="expected what the model's encoder takes, found other"):
        rank_sequences(TableModel(13), {"other": torch.ones(1)}, [[EOS]])


def test_a_bias_of_the_logits_counts(model, inputs):
    class Biased(type(model)):
        @property
        def output_bias(self):
            return torch.linspace(0, 3, len(self.output_embedding))

    sequences, plain = [[9, 8, 2], [50, 2]], rank_sequences(model, inputs, [[9, 8, 2], [50, 2]])
    model.__class__ = Biased
    found = rank_sequences(model, inputs, sequences)
    assert not torch.allclose(found, plain, atol=1e-2)
    for place, sequence in enumerate(sequences):
        expected = score_sequences(model, inputs, [sequence] * 4).sum(1)
        torch.testing.assert_close(found[:, place], expected, atol=1e-4, rtol=0)

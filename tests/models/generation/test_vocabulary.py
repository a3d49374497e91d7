"""Which tokens are candidates and what they score: temperature, allowed tokens, blocks, half precision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.generation.generate import generate

from tests.models.generation.tables import BOS, EOS, PAD, TableModel, examples, same


def test_temperature_divides_the_logits():
    model, cool = TableModel(12, seed=2), TableModel(12, seed=2)
    cool.table /= 0.5
    settings = {"num_beams": 4, "num_return_sequences": 4, "max_length": 6}
    same(generate(model, examples(1), temperature=0.5, **settings)[0], generate(cool, examples(1), **settings)[0])


def test_large_vocabularies_are_searched_in_blocks():
    torch.manual_seed(0)
    model = TableModel(14, seed=4)
    embedding = torch.randn(5003, 14)
    model.output_embedding = embedding
    model.table = torch.cat([model.table, torch.zeros(4, 15, 5003 - 14, 14)], 2)
    first = torch.log_softmax(embedding @ model.table[2, -1, BOS], -1)
    first[PAD] = -math.inf
    wanted = first.topk(3)
    model.table[:, :, 3:] = 9 * embedding[EOS]  # after any first token, the end
    found = generate(model, examples(2), num_beams=3, num_return_sequences=3, max_length=1, min_length=1)[0]
    assert {h.tokens[0] for h in found} == set(wanted.indices.tolist())


class TestAllowedTokens:
    def test_only_these_and_eos_are_produced(self):
        model, allowed = TableModel(14, seed=6), [5, 9, 12, 13]
        found = generate(
            model, examples(0, 1), num_beams=4, num_return_sequences=4, max_length=6, allowed_tokens=allowed
        )
        assert {token for one in found for hypothesis in one for token in hypothesis.tokens} <= {*allowed, EOS}
        assert all(hypothesis.tokens[-1] == EOS for one in found for hypothesis in one)

    def test_equals_a_model_that_gives_the_others_no_probability(self):
        model, masked = TableModel(14, seed=6), TableModel(14, seed=6)
        allowed = [0, 4, 7, 8, 11]
        masked.table[..., [token for token in range(14) if token not in (*allowed, EOS)]] = -1e30
        settings = {"num_beams": 3, "num_return_sequences": 3, "max_length": 5, "no_repeat_ngram_size": 2}
        found = generate(model, examples(3), allowed_tokens=allowed, **settings)[0]
        same(found, generate(masked, examples(3), **settings)[0])

    def test_a_single_answer(self):
        model = TableModel(14, seed=6)
        found = generate(model, examples(0), num_beams=3, num_return_sequences=3, max_length=1, allowed_tokens=[6])
        assert [hypothesis.tokens for hypothesis in found[0]] == [[6, EOS]]

    @pytest.mark.parametrize("allowed", [[], [14], [-1, 3], [10.5], ["a"], "5"])
    def test_what_is_no_token_is_refused(self, allowed: Sequence[object]):
        with pytest.raises(UsageError, match="allowed_tokens: expected token ids from 0 to 13, found"):
            generate(TableModel(14), examples(0), allowed_tokens=allowed)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_hidden_states_are_scored_in_fp32(dtype: torch.dtype):
    model = TableModel(40, seed=2)
    model.table = model.table.to(dtype).float()  # exact in both, so that only the search's own rounding could differ
    wanted = generate(model, examples(0, 1), num_return_sequences=5, max_length=5)
    model.output_embedding = model.output_embedding.to(dtype)
    found = generate(model, examples(0, 1), num_return_sequences=5, max_length=5)
    for ours, theirs in zip(found, wanted, strict=True):
        same(ours, theirs)

"""Samples come from the exact distribution, with the scores of the model, and follow their seed."""

from __future__ import annotations

import math

import pytest
import torch
from ofakit.models.generation.generate import generate, score_sequences
from torch import Tensor

from tests.models.generation.tables import BOS, EOS, PAD, TableModel, examples, repeats


class TestSampling:
    def counts(self, **settings) -> dict[tuple[int, ...], float]:
        model = TableModel(6, seed=9, eos=0.5)
        draws = 20000
        found = generate(
            model, examples(1), do_sample=True, num_return_sequences=draws, max_length=2, seed=5, **settings
        )[0]
        counted: dict[tuple[int, ...], float] = {}
        for hypothesis in found:
            counted[tuple(hypothesis.tokens)] = counted.get(tuple(hypothesis.tokens), 0) + 1 / draws
        return counted

    def exact(self, restrict, min_length: int, size: int, temperature: float) -> dict[tuple[int, ...], float]:
        model = TableModel(6, seed=9, eos=0.5)
        model.table /= temperature

        def following(tokens: list[int]) -> Tensor:
            p = model.log_probabilities(1, tokens).exp()
            p[PAD] = 0
            if len(tokens) < min_length:
                p[EOS] = 0
            for token in range(6):
                if token != EOS and repeats([BOS, *tokens, token], size):
                    p[token] = 0
            p = restrict(p / p.sum())
            return p / p.sum()

        result: dict[tuple[int, ...], float] = {}
        frontier = [((), 1.0)]
        for tokens, probability in frontier:
            if len(tokens) == 2:
                result[(*tokens, EOS)] = probability
                continue
            for token, p in enumerate(following(list(tokens)).tolist()):
                if token == EOS and p:
                    result[(*tokens, EOS)] = probability * p
                elif p:
                    frontier.append(((*tokens, token), probability * p))
        return result

    @pytest.mark.parametrize(
        ("settings", "restrict"),
        [
            ({}, lambda p: p),
            ({"top_k": 2}, lambda p: torch.where(p >= p.topk(2).values[-1], p, 0)),
            (
                {"top_p": 0.6},
                lambda p: torch.where(torch.tensor([p[p > q].sum() for q in p]) < 0.6, p, 0),
            ),
            (
                {"top_k": 3, "top_p": 0.5},
                lambda p: torch.where(
                    (torch.tensor([p[p > q].sum() for q in p]) < 0.5 * p.topk(3).values.sum())
                    & (p >= p.topk(3).values[-1]),
                    p,
                    0,
                ),
            ),
        ],
        ids=["all", "top_k", "top_p", "both"],
    )
    @pytest.mark.parametrize("bans", [(0, 0, 1.0), (1, 2, 0.7)])
    def test_draws_from_the_exact_distribution(self, settings: dict, restrict, bans: tuple[int, int, float]):
        min_length, size, temperature = bans
        found = self.counts(min_length=min_length, no_repeat_ngram_size=size, temperature=temperature, **settings)
        exact = self.exact(restrict, min_length, size, temperature)
        assert set(found) <= set(exact)
        for tokens, probability in exact.items():
            deviation = math.sqrt(probability * (1 - probability) / 20000)
            assert abs(found.get(tokens, 0.0) - probability) < 5 * deviation + 1e-4

    def test_scores_are_the_models_log_probabilities(self):
        model = TableModel(12, seed=4, eos=1.0)
        found = generate(
            model, examples(2), do_sample=True, num_return_sequences=6, seed=1, top_k=4, length_penalty=0.5
        )[0]
        scores = score_sequences(model, examples(*[2] * 6), [hypothesis.tokens for hypothesis in found])
        for row, hypothesis in zip(scores, found, strict=True):
            assert hypothesis.score == pytest.approx(float(row.sum()) / len(hypothesis.tokens) ** 0.5, abs=1e-5)
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)

    def test_a_seed_repeats_and_others_differ(self):
        model = TableModel(14, seed=4, eos=-2.0)
        settings = {"do_sample": True, "num_return_sequences": 4, "max_length": 8}
        first = generate(model, examples(0, 0), seed=3, **settings)
        assert first == generate(model, examples(0, 0), seed=3, **settings)
        assert first[0] != first[1]
        assert first != generate(model, examples(0, 0), seed=4, **settings)
        torch.manual_seed(11)
        second = generate(model, examples(0), **settings)
        torch.manual_seed(11)
        assert second == generate(model, examples(0), **settings)

    def test_the_smallest_top_p_is_greedy(self):
        model = TableModel(14, seed=4)
        greedy = generate(model, examples(0, 1), num_beams=1)
        drawn = generate(model, examples(0, 1), do_sample=True, top_p=1e-6)
        assert [one[0].tokens for one in greedy] == [one[0].tokens for one in drawn]

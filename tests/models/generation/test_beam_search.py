"""Beam search against exhaustive and plain Python searches, on small tables of logits."""

from __future__ import annotations

import math

import pytest
from ofakit.models.generation.generate import Hypothesis, generate

from tests.models.generation.tables import BOS, EOS, PAD, TableModel, examples, exhaustive, repeats, same


def plain_beam_search(model, example, num_beams, max_length, min_length, no_repeat_ngram_size, length_penalty):
    """The stock rules in plain Python, one example, all tokens."""
    live, ended = [([], 0.0)], []
    for step in range(max_length + 1):
        candidates = []
        for tokens, score in live:
            logp = model.log_probabilities(example, tokens).tolist()
            for token, value in enumerate(logp):
                possible = token == EOS if step == max_length else token != PAD
                possible &= not (token == EOS and step < min_length)
                if possible and (token == EOS or not repeats([BOS, *tokens, token], no_repeat_ngram_size)):
                    candidates.append(([*tokens, token], score + value))
        candidates = sorted(candidates, key=lambda candidate: -candidate[1])[: 2 * num_beams]
        ending = [c for c in candidates[:num_beams] if c[0][-1] == EOS]
        ended += [Hypothesis(t, s / len(t) ** length_penalty) for t, s in ending]
        if len(ended) >= num_beams:
            break
        live = [c for c in candidates if c[0][-1] != EOS][:num_beams]
    return sorted(ended[:num_beams], key=lambda hypothesis: -hypothesis.score)


SETTINGS = [
    {"num_beams": beams, "max_length": length, "min_length": least, "no_repeat_ngram_size": size, "length_penalty": p}
    for beams, length, least, size, p in [
        (1, 6, 1, 0, 1.0),
        (2, 5, 0, 2, 0.0),
        (3, 8, 2, 3, 1.0),
        (4, 3, 3, 1, 0.6),
        (5, 7, 1, 2, 2.0),
        (3, 0, 0, 3, 1.0),
        (5, 1, 1, 0, 1.0),
    ]
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("eos", [-1.0, 1.5])
def test_equals_the_plain_search(settings: dict, eos: float):
    model = TableModel(14, seed=3, eos=eos)
    found = generate(model, examples(2, 0, 3), num_return_sequences=settings["num_beams"], **settings)
    for example, hypotheses in zip((2, 0, 3), found, strict=True):
        same(hypotheses, plain_beam_search(model, example, **settings))


@pytest.mark.parametrize("size", [0, 2])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_sequence(size: int, penalty: float):
    model = TableModel(5, seed=1)
    settings = {"max_length": 3, "min_length": 1, "no_repeat_ngram_size": size, "length_penalty": penalty}
    best = exhaustive(lambda tokens: model.log_probabilities(1, tokens), model.special_tokens, 5, 3, 1, size, penalty)
    found = generate(model, examples(1), num_beams=200, num_return_sequences=20, **settings)[0]
    same(found, best[: len(found)])
    assert len(found) == min(20, len(best))


def test_greedy_takes_the_likeliest_token():
    model = TableModel(12, seed=5)
    (hypothesis,) = generate(model, examples(0), num_beams=1, max_length=5, min_length=0, no_repeat_ngram_size=0)[0]
    tokens: list[int] = []
    while len(tokens) < 5 and tokens[-1:] != [EOS]:
        logp = model.log_probabilities(0, tokens)
        logp[PAD] = -math.inf
        tokens.append(int(logp.argmax()))
    assert hypothesis.tokens == (tokens if tokens[-1] == EOS else [*tokens, EOS])


def test_the_search_stops_when_every_example_is_done():
    model = TableModel(12, seed=5, eos=6.0)
    generate(model, examples(0, 1, 2, 3), num_beams=2, max_length=16)
    assert model.steps < 17

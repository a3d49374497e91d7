"""Beam search and sampling against exhaustive and plain Python searches, on small tables of logits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.generation.generate import Hypothesis, generate, score_sequences
from torch import Tensor, nn

BOS, PAD, EOS = 0, 1, 2


@dataclass
class TableState:
    """The tokens that every row has been given."""

    images: Tensor
    rows: int
    past: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.past = torch.zeros(len(self.images) * self.rows, 0, dtype=torch.long)

    def reorder(self, index: Tensor) -> None:
        self.past = self.past[index]

    def select(self, batch_index: Tensor) -> None:
        self.past = self.past.view(len(self.images), self.rows, -1)[batch_index].flatten(0, 1)
        self.images = self.images[batch_index]


class TableModel(nn.Module):
    """Logits drawn once for every image and last two tokens; the image is named by the first input id."""

    def __init__(self, vocabulary: int, seed: int = 0, images: int = 4, eos: float = 0.0) -> None:
        super().__init__()
        self.config = SimpleNamespace(bos_token_id=BOS, pad_token_id=PAD, eos_token_id=EOS)
        generator = torch.Generator().manual_seed(seed)
        table = torch.randn(images, vocabulary + 1, vocabulary, vocabulary, generator=generator) * 1.5
        table[..., EOS] += eos
        self.register_buffer("table", table)
        self.output_embedding = torch.eye(vocabulary)
        self.decoder = SimpleNamespace(start=self.start, step=self.step)
        self.steps = 0

    def encode(self, input_ids: Tensor, patch_images: Tensor | None = None, patch_masks: Tensor | None = None):
        return input_ids[:, 0]

    def start(self, encoder_outputs: Tensor, num_beams: int, max_length: int) -> TableState:
        return TableState(encoder_outputs, num_beams)

    def step(self, tokens: Tensor, state: TableState) -> Tensor:
        self.steps += 1
        alike = state.past.shape[1] == 0 and len(tokens) == len(state.images)
        if alike:
            state.past = tokens.repeat_interleave(state.rows)[:, None]
            return self.table[state.images, -1, tokens]
        state.past = torch.cat([state.past, tokens[:, None]], 1)
        before = state.past[:, -2] if state.past.shape[1] > 1 else torch.full_like(tokens, -1)
        return self.table[state.images.repeat_interleave(state.rows), before, tokens]

    def decode(self, decoder_input_ids: Tensor, encoder_outputs: Tensor) -> Tensor:
        state = self.start(encoder_outputs, 1, 0)
        return torch.stack([self.step(tokens, state) for tokens in decoder_input_ids.t()], 1)

    def log_probabilities(self, image: int, tokens: list[int]) -> Tensor:
        row = [BOS, *tokens]
        before = row[-2] if len(row) > 1 else -1
        return self.table[image, before, row[-1]].log_softmax(-1)


def images(*numbers: int) -> dict[str, Tensor]:
    return {"input_ids": torch.tensor(numbers)[:, None]}


def repeats(tokens: list[int], size: int) -> bool:
    row = [BOS, *tokens]
    seen = [tuple(row[i : i + size]) for i in range(len(row) - size + 1)] if size else []
    return len(seen) != len(set(seen))


def exhaustive(model: TableModel, image: int, max_length: int, min_length: int, size: int, penalty: float):
    """Every sequence with its score, best first."""
    allowed = [token for token in range(model.table.shape[-1]) if token not in (PAD, EOS)]
    found = []
    for length in range(min_length, max_length + 1):
        for body in itertools.product(allowed, repeat=length):
            if repeats(list(body), size):
                continue
            tokens = [*body, EOS]
            steps = (model.log_probabilities(image, tokens[:i])[tokens[i]] for i in range(len(tokens)))
            found.append(Hypothesis(tokens, float(sum(steps)) / len(tokens) ** penalty))
    return sorted(found, key=lambda hypothesis: -hypothesis.score)


def plain_beam_search(model, image, num_beams, max_length, min_length, no_repeat_ngram_size, length_penalty):
    """The stock rules in plain Python, one image, all tokens."""
    live, ended = [([], 0.0)], []
    for step in range(max_length + 1):
        candidates = []
        for tokens, score in live:
            logp = model.log_probabilities(image, tokens).tolist()
            for token, value in enumerate(logp):
                possible = token == EOS if step == max_length else token != PAD
                possible &= not (token == EOS and step < min_length)
                if possible and (token == EOS or not repeats([*tokens, token], no_repeat_ngram_size)):
                    candidates.append(([*tokens, token], score + value))
        candidates = sorted(candidates, key=lambda candidate: -candidate[1])[: 2 * num_beams]
        ending = [c for c in candidates[:num_beams] if c[0][-1] == EOS]
        ended += [Hypothesis(t, s / len(t) ** length_penalty) for t, s in ending]
        if len(ended) >= num_beams:
            break
        live = [c for c in candidates if c[0][-1] != EOS][:num_beams]
    return sorted(ended[:num_beams], key=lambda hypothesis: -hypothesis.score)


def same(found: list[Hypothesis], wanted: list[Hypothesis]) -> None:
    assert [hypothesis.tokens for hypothesis in found] == [hypothesis.tokens for hypothesis in wanted]
    assert [h.score for h in found] == pytest.approx([h.score for h in wanted], abs=1e-5)


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
    found = generate(model, images(2, 0, 3), num_return_sequences=settings["num_beams"], **settings)
    for image, hypotheses in zip((2, 0, 3), found, strict=True):
        same(hypotheses, plain_beam_search(model, image, **settings))


@pytest.mark.parametrize("size", [0, 2])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_enough_beams_find_the_best_sequence(size: int, penalty: float):
    model = TableModel(5, seed=1)
    settings = {"max_length": 3, "min_length": 1, "no_repeat_ngram_size": size, "length_penalty": penalty}
    best = exhaustive(model, 1, 3, 1, size, penalty)
    found = generate(model, images(1), num_beams=200, num_return_sequences=20, **settings)[0]
    same(found, best[: len(found)])
    assert len(found) == min(20, len(best))


def test_greedy_takes_the_likeliest_token():
    model = TableModel(12, seed=5)
    (hypothesis,) = generate(model, images(0), num_beams=1, max_length=5, min_length=0, no_repeat_ngram_size=0)[0]
    tokens: list[int] = []
    while len(tokens) < 5 and tokens[-1:] != [EOS]:
        logp = model.log_probabilities(0, tokens)
        logp[PAD] = -math.inf
        tokens.append(int(logp.argmax()))
    assert hypothesis.tokens == (tokens if tokens[-1] == EOS else [*tokens, EOS])


def test_the_search_stops_when_every_image_is_done():
    model = TableModel(12, seed=5, eos=6.0)
    generate(model, images(0, 1, 2, 3), num_beams=2, max_length=16)
    assert model.steps < 17


@pytest.mark.parametrize("do_sample", [False, True])
def test_a_batch_is_its_images_one_by_one(do_sample: bool):
    model = TableModel(13, seed=8, eos=1.0)
    settings = {"num_beams": 3, "num_return_sequences": 3, "max_length": 9, "do_sample": do_sample}
    numbers = [3, 1, 0, 2, 1]
    whole = generate(model, images(*numbers), seed=70, **settings)
    for place, number in enumerate(numbers):
        same(generate(model, images(number), seed=70 + place, **settings)[0], whole[place])
    halves = generate(model, images(*numbers[:2]), seed=70, **settings)
    halves += generate(model, images(*numbers[2:]), seed=72, **settings)
    assert [[h.tokens for h in hypotheses] for hypotheses in halves] == [[h.tokens for h in one] for one in whole]
    order = [4, 2, 0, 3, 1]
    seeds = [70 + place for place in order]
    turned = generate(model, images(*(numbers[place] for place in order)), seed=seeds, **settings)
    for place, hypotheses in zip(order, turned, strict=True):
        same(hypotheses, whole[place])


def test_temperature_divides_the_logits():
    model, cool = TableModel(12, seed=2), TableModel(12, seed=2)
    cool.table /= 0.5
    settings = {"num_beams": 4, "num_return_sequences": 4, "max_length": 6}
    same(generate(model, images(1), temperature=0.5, **settings)[0], generate(cool, images(1), **settings)[0])


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
    found = generate(model, images(2), num_beams=3, num_return_sequences=3, max_length=1, min_length=1)[0]
    assert {h.tokens[0] for h in found} == set(wanted.indices.tolist())


class TestAllowedTokens:
    def test_only_these_and_eos_are_produced(self):
        model, allowed = TableModel(14, seed=6), [5, 9, 12, 13]
        found = generate(model, images(0, 1), num_beams=4, num_return_sequences=4, max_length=6, allowed_tokens=allowed)
        assert {token for one in found for hypothesis in one for token in hypothesis.tokens} <= {*allowed, EOS}
        assert all(hypothesis.tokens[-1] == EOS for one in found for hypothesis in one)

    def test_equals_a_model_that_gives_the_others_no_probability(self):
        model, masked = TableModel(14, seed=6), TableModel(14, seed=6)
        allowed = [0, 4, 7, 8, 11]
        masked.table[..., [token for token in range(14) if token not in (*allowed, EOS)]] = -1e30
        settings = {"num_beams": 3, "num_return_sequences": 3, "max_length": 5, "no_repeat_ngram_size": 2}
        found = generate(model, images(3), allowed_tokens=allowed, **settings)[0]
        same(found, generate(masked, images(3), **settings)[0])

    def test_a_single_answer(self):
        model = TableModel(14, seed=6)
        found = generate(model, images(0), num_beams=3, num_return_sequences=3, max_length=1, allowed_tokens=[6])
        assert [hypothesis.tokens for hypothesis in found[0]] == [[6, EOS]]

    @pytest.mark.parametrize("allowed", [[], [14], [-1, 3], [10.5], ["a"], "5"])
    def test_what_is_no_token_is_refused(self, allowed: Sequence[object]):
        with pytest.raises(UsageError, match="allowed_tokens: expected token ids from 0 to 13, found"):
            generate(TableModel(14), images(0), allowed_tokens=allowed)


class TestSampling:
    def counts(self, **settings) -> dict[tuple[int, ...], float]:
        model = TableModel(6, seed=9, eos=0.5)
        draws = 20000
        found = generate(
            model, images(1), do_sample=True, num_return_sequences=draws, max_length=2, seed=5, **settings
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
                if token != EOS and repeats([*tokens, token], size):
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
        found = generate(model, images(2), do_sample=True, num_return_sequences=6, seed=1, top_k=4, length_penalty=0.5)[
            0
        ]
        scores = score_sequences(model, images(*[2] * 6), [hypothesis.tokens for hypothesis in found])
        for row, hypothesis in zip(scores, found, strict=True):
            assert hypothesis.score == pytest.approx(float(row.sum()) / len(hypothesis.tokens) ** 0.5, abs=1e-5)
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)

    def test_a_seed_repeats_and_others_differ(self):
        model = TableModel(14, seed=4, eos=-2.0)
        settings = {"do_sample": True, "num_return_sequences": 4, "max_length": 8}
        first = generate(model, images(0, 0), seed=3, **settings)
        assert first == generate(model, images(0, 0), seed=3, **settings)
        assert first[0] != first[1]
        assert first != generate(model, images(0, 0), seed=4, **settings)
        torch.manual_seed(11)
        second = generate(model, images(0), **settings)
        torch.manual_seed(11)
        assert second == generate(model, images(0), **settings)

    def test_the_smallest_top_p_is_greedy(self):
        model = TableModel(14, seed=4)
        greedy = generate(model, images(0, 1), num_beams=1)
        drawn = generate(model, images(0, 1), do_sample=True, top_p=1e-6)
        assert [one[0].tokens for one in greedy] == [one[0].tokens for one in drawn]


class TestNotANumber:
    @pytest.mark.parametrize("do_sample", [False, True])
    def test_other_images_are_answered(self, do_sample: bool):
        model, broken = TableModel(14, seed=4), TableModel(14, seed=4)
        broken.table[1] = math.nan
        settings = {"num_beams": 3, "max_length": 5, "do_sample": do_sample, "seed": 2}
        found = generate(broken, images(0, 1, 2), **settings)
        wanted = generate(model, images(0, 1, 2), **settings)
        assert found[1] == []
        assert [found[0], found[2]] == [wanted[0], wanted[2]]


class TestUsage:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"num_beams": 0}, "num_beams: expected an integer of at least 1, found 0"),
            ({"num_beams": 2.0}, "num_beams: expected an integer of at least 1, found 2.0"),
            ({"max_length": -1}, "max_length: expected an integer of at least 0, found -1"),
            ({"max_length": 3, "min_length": 4}, "min_length: expected at most max_length, 3, found 4"),
            ({"num_beams": 3, "num_return_sequences": 4}, "expected at most num_beams, 3, found 4; raise num_beams"),
            *(
                ({"temperature": value}, f"temperature: expected a number over 0 and finite, found {value!r}")
                for value in (0.0, "0.5", None, math.inf, math.nan, True)
            ),
            *(
                ({"top_p": value}, rf"top_p: expected a number in \(0, 1\], found {value!r}")
                for value in (1.5, 0, "0.5", None, math.nan)
            ),
            *(
                ({"length_penalty": value}, f"length_penalty: expected a number from -10 to 10, found {value!r}")
                for value in ("x", None, math.nan, -11, 10**6, math.inf)
            ),
            ({"top_k": -2}, "top_k: expected an integer of at least 0, found -2"),
            ({"do_sample": True, "seed": [1, 2]}, "seed: expected an integer or one per image, 1, found 2"),
            *(
                ({"do_sample": True, "seed": value}, f"seed: expected an integer or one per image, 1, found {found}")
                for value, found in ((1.5, "1.5"), ([1.5], "1.5"), ("x", "'x'"), (2**64, 2**64), (-(2**63) - 1, "-"))
            ),
        ],
    )
    def test_settings_out_of_range(self, settings: dict, message: str):
        with pytest.raises(UsageError, match=message):
            generate(TableModel(14), images(0), **settings)

    @pytest.mark.parametrize("do_sample", [False, True])
    def test_integers_will_do_for_the_length_penalty(self, do_sample: bool):
        model, rest = TableModel(14), {"do_sample": do_sample, "max_length": 100, "seed": 2**64 - 1}
        for penalty in (-10, 2, 10):
            found = generate(model, images(0), length_penalty=penalty, **rest)
            assert found == generate(model, images(0), length_penalty=float(penalty), **rest) and found[0]

    @pytest.mark.parametrize("do_sample", [False, True])
    def test_an_empty_batch_has_no_hypotheses(self, do_sample: bool):
        assert generate(TableModel(14), images(), do_sample=do_sample) == []

    def test_inputs_without_text(self):
        with pytest.raises(UsageError, match="inputs: expected input_ids, .* found index"):
            generate(TableModel(14), {"index": torch.tensor([0])})

    def test_sequences_to_score(self):
        model = TableModel(14)
        with pytest.raises(UsageError, match="expected one sequence of at least one token for each of 2 images"):
            score_sequences(model, images(0, 1), [[3, EOS]])
        with pytest.raises(UsageError, match="expected allowed_tokens and eos only, found"):
            score_sequences(model, images(0), [[3, EOS]], allowed_tokens=[4])

    def test_a_stock_sample_will_do(self):
        model = TableModel(14)
        assert generate(model, {"net_input": images(1)}) == generate(model, images(1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_hidden_states_are_scored_in_fp32(dtype: torch.dtype):
    model = TableModel(40, seed=2)
    model.table = model.table.to(dtype).float()  # exact in both, so that only the search's own rounding could differ
    wanted = generate(model, images(0, 1), num_return_sequences=5, max_length=5)
    model.output_embedding = model.output_embedding.to(dtype)
    found = generate(model, images(0, 1), num_return_sequences=5, max_length=5)
    for ours, theirs in zip(found, wanted, strict=True):
        same(ours, theirs)

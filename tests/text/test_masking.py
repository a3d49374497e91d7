"""Whole-word masking against a sentence-by-sentence reference written straight from the definition."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from ofakit.errors import UsageError
from ofakit.text import mask_whole_words, mask_whole_words_batch, train_tokenizer
from ofakit.text.masking import mask_whole_words_packed

BOS, EOS, MASK = 0, 2, 50264
FIRST_ID, LAST_ID = 1000, 1900
RANDOM_IDS = (5000, 6000)
COUNT = 10_000


def corpus(seed: int, count: int = COUNT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sentences of 8 to 29 tokens between bos and eos, 70 % of them word starts: tokens, flags, lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(8, 30, count) + 2
    stops = np.cumsum(lengths)
    tokens = rng.integers(FIRST_ID, LAST_ID, stops[-1])
    flags = (rng.random(stops[-1]) < 0.7).astype(np.int8)
    for at, token in ((stops - lengths, BOS), (stops - 1, EOS)):
        tokens[at], flags[at] = token, 0
    return tokens, flags, lengths


def poisson(mean: float, rng: random.Random) -> int:
    length, product = 0, rng.random()
    while product > math.exp(-mean):
        length, product = length + 1, product * rng.random()
    return length


def draw_spans(words: int, ratio: float, mean: float, rng: random.Random) -> tuple[list[int], int]:
    """Span lengths that add up to the budget, and how many were zero."""
    budget, lengths, inserts = math.ceil(round(words * ratio, 6)), [], 0
    while sum(lengths) < budget:
        length = poisson(mean, rng) if mean else 1
        if length:
            lengths.append(min(length, budget - sum(lengths)))
        else:
            inserts += 1
    return lengths, inserts


def reference(ids, flags, *, mask_id, ratio, poisson_lambda, replace_length, random_ratio, rng) -> list[int]:
    """One sentence, as fairseq goes about it: all spans begin, then all go on by a token, and on."""
    out, keep, last = list(ids), [True] * len(ids), len(ids) - 1
    words = [i for i in range(1, last) if flags[i]]
    lengths, inserts = draw_spans(len(words), ratio, poisson_lambda, rng)

    def noise(is_random: bool) -> int:
        return rng.randrange(*RANDOM_IDS) if is_random else mask_id

    begins = rng.sample(words, len(lengths))
    spans = [(at, length - 1, rng.random() < random_ratio) for at, length in zip(begins, lengths, strict=True)]
    for begin, _, is_random in spans:
        keep[begin] = replace_length != 0
        out[begin] = noise(is_random)
    while spans:
        spans = [(at + 1, left - flags[at + 1], is_random) for at, left, is_random in spans if at + 1 < last]
        spans = [span for span in spans if span[1] >= 0]
        for at, _, is_random in spans:
            keep[at] = replace_length == -1
            out[at] = noise(is_random)
    out = [token for token, kept in zip(out, keep, strict=True) if kept]
    places = rng.sample(range(1, len(out) + inserts - 1), inserts)
    random_places = places[: math.ceil(inserts * random_ratio)]
    for place in sorted(places):
        out.insert(place, noise(place in random_places))
    return out


def statistics(before: list[list[int]], after: list[list[int]]) -> dict[str, np.ndarray]:
    """What can be counted in each pair of sentences, (N,) each."""
    rows = []
    for ids, out in zip(before, after, strict=True):
        is_mask = [token == MASK for token in out]
        is_random = [RANDOM_IDS[0] <= token < RANDOM_IDS[1] for token in out]
        runs = sum(m and not n for m, n in zip(is_mask, [*is_mask[1:], False], strict=True))
        remaining = sum(not m and not r for m, r in zip(is_mask, is_random, strict=True))
        middle = len(out) / 2
        first_half = sum(m for i, m in enumerate(is_mask) if i < middle)
        rows.append([len(out), sum(is_mask), sum(is_random), runs, len(ids) - remaining, first_half, is_mask[1]])
    names = ("length", "masks", "random", "runs", "gone", "masks in the first half", "mask after bos")
    return dict(zip(names, np.array(rows, dtype=float).T, strict=True))


def split(tokens: np.ndarray, lengths: np.ndarray) -> list[list[int]]:
    return [part.tolist() for part in np.split(tokens, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize("replace_length", [-1, 0, 1])
@pytest.mark.parametrize(
    ("ratio", "mean", "random_ratio"),
    [(0.3, 3.0, 0.0), (0.3, 3.0, 0.25), (0.5, 1.0, 0.1), (0.15, 0.0, 0.5), (1.0, 0.4, 0.0)],
)
def test_statistics_equal_the_reference(replace_length, ratio, mean, random_ratio):
    tokens, flags, lengths = corpus(seed=1)
    options = {
        "mask_id": MASK,
        "ratio": ratio,
        "poisson_lambda": mean,
        "replace_length": replace_length,
        "random_ratio": random_ratio,
    }
    masked, new_lengths = mask_whole_words_packed(
        tokens, flags, lengths, vocab_range=RANDOM_IDS, generator=7, **options
    )
    before, rng = split(tokens, lengths), random.Random(3)
    expected = [reference(ids, f, rng=rng, **options) for ids, f in zip(before, split(flags, lengths), strict=True)]
    ours = statistics(before, split(masked, new_lengths))
    theirs = statistics(before, expected)
    for name in ours:
        for power in (1, 2):
            difference = ours[name] ** power - theirs[name] ** power
            error = difference.std() / math.sqrt(COUNT)
            assert abs(difference.mean()) <= 4.5 * error + 1e-12, (name, power, difference.mean(), error)


def test_the_comparison_notices_a_wrong_ratio_and_a_wrong_mean():
    tokens, flags, lengths = corpus(seed=1)
    before = split(tokens, lengths)
    counts = {}
    for ratio, mean in ((0.3, 3.0), (0.33, 3.0), (0.3, 2.7)):
        masked = mask_whole_words_packed(
            tokens, flags, lengths, mask_id=MASK, ratio=ratio, poisson_lambda=mean, generator=7
        )
        counts[ratio, mean] = statistics(before, split(*masked))
    for wrong in ((0.33, 3.0), (0.3, 2.7)):
        difference = counts[wrong]["masks"] - counts[0.3, 3.0]["masks"]
        assert abs(difference.mean()) > 6 * difference.std() / math.sqrt(COUNT)


def test_share_of_the_budget_is_fairseqs():
    tokens, flags, lengths = corpus(seed=2)
    masked, new_lengths = mask_whole_words_packed(
        tokens, flags, lengths, mask_id=MASK, ratio=0.3, poisson_lambda=3.0, replace_length=-1, generator=5
    )
    same = new_lengths == lengths
    stops, new_stops = np.cumsum(lengths), np.cumsum(new_lengths)
    starts = [flags[b - n : b] == 1 for b, n in zip(stops, lengths, strict=True)]
    gone = [masked[b - n : b] == MASK for b, n in zip(new_stops, new_lengths, strict=True)]
    words = [int((g & s).sum()) for g, s, whole in zip(gone, starts, same, strict=True) if whole]
    budget = [math.ceil(0.3 * int(s.sum()) - 1e-6) for s, whole in zip(starts, same, strict=True) if whole]
    assert 0.2 * COUNT < len(words) < COUNT
    assert all(w <= b for w, b in zip(words, budget, strict=True))
    assert sum(words) / sum(budget) == pytest.approx(0.895, abs=0.01)


def test_single_words_meet_the_budget_exactly():
    tokens, flags, lengths = corpus(seed=3, count=500)
    masked, _ = mask_whole_words_packed(
        tokens, flags, lengths, mask_id=MASK, ratio=0.55, poisson_lambda=0, replace_length=-1, generator=5
    )
    for ids, f, n in zip(split(masked, lengths), split(flags, lengths), lengths, strict=True):
        words = sum(f)
        assert sum(token == MASK for token, flag in zip(ids, f, strict=True) if flag) == -(-words * 55 // 100)
        assert (ids[0], ids[-1], len(ids)) == (BOS, EOS, n)


@pytest.mark.parametrize("replace_length", [-1, 0, 1])
def test_whole_words_vanish_and_the_rest_keeps_its_order(replace_length):
    tokens, flags, lengths = corpus(seed=4, count=1000)
    tokens[tokens >= FIRST_ID] = FIRST_ID + np.arange((tokens >= FIRST_ID).sum()) % 40
    masked, new_lengths = mask_whole_words_packed(
        tokens, flags, lengths, mask_id=MASK, replace_length=replace_length, generator=5
    )
    for ids, f, out in zip(split(tokens, lengths), split(flags, lengths), split(masked, new_lengths), strict=True):
        remaining = [token for token in out if token != MASK]
        gone = set(ids) - set(remaining)
        assert remaining == [token for token in ids if token not in gone]
        assert out[0] == BOS and out[-1] == EOS
        word = -1
        fate: dict[int, set[bool]] = {}
        for token, flag in zip(ids[1:-1], f[1:-1], strict=True):
            word += flag
            fate.setdefault(word, set()).add(token in gone)
        assert fate.pop(-1, {False}) == {False}
        assert all(len(fates) == 1 for fates in fate.values())


def test_ratio_0_is_the_identity_and_ratio_1_masks_every_word():
    ids, flags = [BOS, 11, 12, 13, 14, EOS], [0, 1, 0, 1, 1, 0]
    assert mask_whole_words(ids, flags, mask_id=MASK, ratio=0.0, generator=1) == ids
    everything = mask_whole_words(ids, flags, mask_id=MASK, ratio=1.0, poisson_lambda=0, replace_length=-1)
    assert everything == [BOS, *[MASK] * 4, EOS]
    assert mask_whole_words(ids, flags, mask_id=MASK, ratio=1.0, poisson_lambda=0, replace_length=0) == [BOS, EOS]
    assert mask_whole_words(ids, flags, mask_id=MASK, ratio=1.0, poisson_lambda=0) == [BOS, MASK, MASK, MASK, EOS]


@pytest.mark.parametrize("ids", [[BOS, EOS], [BOS], [], [BOS, 11, EOS]])
def test_without_a_word_nothing_happens(ids):
    assert mask_whole_words(ids, [1, 0, 1][: len(ids)], mask_id=MASK, ratio=1.0, generator=1) == ids


def test_bos_and_eos_never_begin_a_word():
    masked = mask_whole_words([BOS, 11, 12, EOS], [1, 1, 0, 1], mask_id=MASK, ratio=1.0, poisson_lambda=0)
    assert masked == [BOS, MASK, EOS]


def test_one_seed_one_result_and_the_input_stays():
    tokens, flags, lengths = corpus(seed=6, count=200)
    copies = tokens.copy(), flags.copy()
    options = {"mask_id": MASK, "random_ratio": 0.3, "vocab_range": RANDOM_IDS}
    first, again, other = (
        mask_whole_words_packed(tokens, flags, lengths, generator=seed, **options) for seed in (5, 5, 6)
    )
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(tokens, copies[0]) and np.array_equal(flags, copies[1])
    generator = np.random.default_rng(5)
    assert np.array_equal(mask_whole_words_packed(tokens, flags, lengths, generator=generator, **options)[0], first[0])
    assert not np.array_equal(
        mask_whole_words_packed(tokens, flags, lengths, generator=generator, **options)[0], first[0]
    )


def test_batch_and_packed_are_the_same():
    tokens, flags, lengths = corpus(seed=7, count=50)
    packed = split(*mask_whole_words_packed(tokens, flags, lengths, mask_id=MASK, generator=5))
    batch = mask_whole_words_batch(split(tokens, lengths), split(flags, lengths), mask_id=MASK, generator=5)
    assert [row.tolist() for row in batch] == packed
    assert mask_whole_words_batch([], [], mask_id=MASK) == []


def test_lists_arrays_and_tensors_come_back_as_what_they_were():
    torch = pytest.importorskip("torch")
    ids, flags = [BOS, *range(10, 30), EOS], [False, *[True] * 20, False]
    expected = mask_whole_words(ids, flags, mask_id=MASK, generator=9)
    array = mask_whole_words(np.array(ids, np.int32), np.array(flags), mask_id=MASK, generator=9)
    assert array.dtype == np.int32 and array.tolist() == expected
    tensor = mask_whole_words(torch.tensor(ids), torch.tensor(flags), mask_id=MASK, generator=9)
    assert tensor.dtype == torch.int64 and tensor.tolist() == expected
    generator = torch.Generator().manual_seed(3)
    first, second = (mask_whole_words(ids, flags, mask_id=MASK, generator=generator) for _ in range(2))
    assert first != second
    assert mask_whole_words(ids, flags, mask_id=MASK, generator=torch.Generator().manual_seed(3)) == first


def test_styles_are_never_masked_unless_asked():
    tokenizer = train_tokenizer(["a red cat sat on a mat"] * 3, vocab_size=290, num_codes=5, num_bins=0)
    tokenizer.add_tokens(["<style:calm>"])
    style, code = tokenizer.token_to_id("<style:calm>"), tokenizer.token_to_id("<code_1>")
    ids = [0, *tokenizer.encode(" a red<style:calm> cat sat<code_1> on a mat"), 2]
    options = {"mask_id": tokenizer.mask_token_id, "ratio": 0.9, "poisson_lambda": 8.0, "replace_length": -1}
    found = {True: 0, False: 0}
    for seed in range(200):
        for asked in found:
            flags = tokenizer.word_starts(ids, include_added=asked)
            masked = mask_whole_words(ids, flags, generator=seed, **options)
            found[asked] += (style in masked) + (code in masked)
    assert found[False] == 400
    assert 0 < found[True] < 200


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ratio": 1.5}, "expected ratio in"),
        ({"ratio": float("nan")}, "expected ratio in"),
        ({"random_ratio": -0.1}, "expected random_ratio in"),
        ({"random_ratio": 0.1}, "random_ratio needs vocab_range"),
        ({"random_ratio": 0.1, "vocab_range": (9, 9)}, "random_ratio needs vocab_range"),
        ({"replace_length": 2}, "expected replace_length"),
        ({"poisson_lambda": -1.0}, "expected poisson_lambda"),
        ({"poisson_lambda": float("nan")}, "expected poisson_lambda"),
        ({"is_word_start": [0, 1]}, "expected a flag for each of the 3 ids"),
    ],
)
def test_impossible_requests(wrong, message):
    with pytest.raises(UsageError, match=message):
        mask_whole_words(**{"ids": [BOS, 11, EOS], "is_word_start": [0, 1, 0], "mask_id": MASK, **wrong})
    with pytest.raises(UsageError, match="lengths that add up"):
        mask_whole_words_packed(np.zeros(3), np.zeros(3), np.array([2]), mask_id=MASK)

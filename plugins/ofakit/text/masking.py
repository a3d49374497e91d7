"""Whole-word masking with Poisson spans, as OFA pre-trains on text, for one sentence or a corpus at once.

    {"type": "mlm", "ratio": 0.3, "poisson_lambda": 3.0, "replace_length": 1, "random_ratio": 0.0}

The budget of a sentence is ceil(words * ratio) words. Span lengths are drawn until they reach it; the last is cut to
fit; each span of length l > 0 begins at a word of its own, drawn without replacement, and covers l words or as many as
follow; each span of length 0 becomes an inserted `<mask>`. Spans may overlap, so fewer words than budgeted may vanish.

Source: OFA-Sys/OFA `data/pretrain_data/unify_dataset.py` (`add_whole_word_mask`), which is fairseq's
`denoising_dataset.py`; Lewis et al. 2020 (BART), section 2.2. Two deviations: tokens flagged -1 end a span as bos and
eos do, and rounding errors never add a word to the budget or an insertion.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit

from ofakit.errors import UsageError

__all__ = ["mask_whole_words", "mask_whole_words_batch", "mask_whole_words_packed"]

ROUNDING = 1e-6  # 0.55 * 20 is 11.000000000000002, which is no reason to mask a twelfth word
RAREST_LENGTH = 1e-7
SHORTEST_MEAN = 0.01
LONGEST_MEAN = 100.0


def mask_whole_words(
    ids: Any,
    is_word_start: Any,
    *,
    mask_id: int,
    ratio: float = 0.3,
    poisson_lambda: float = 3.0,
    replace_length: int = 1,
    random_ratio: float = 0.0,
    vocab_range: tuple[int, int] | None = None,
    generator: Any = None,
) -> Any:
    """Mask words of one sentence.

    Args:
        ids: (T,) token ids with bos and eos: list, NumPy array or tensor.
        is_word_start: (T,) bool, or integers as `OFATokenizer.word_starts` gives them: 1 where a word begins, 0 inside
            a word, -1 at tokens that no span may cover. bos and eos never begin a word.
        mask_id: The id of `<mask>`.
        ratio: The share of words to mask, in [0, 1].
        poisson_lambda: Mean span length in words, in [0.01, 100]; 0 masks single words and inserts nothing.
        replace_length: 1 replaces a span by one `<mask>`, 0 deletes it, -1 replaces each of its tokens by one.
        random_ratio: The share of spans that are replaced by random tokens instead of `<mask>`, in [0, 1].
        vocab_range: First id and one past the last id of random tokens; needed unless `random_ratio` is 0.
        generator: `numpy.random.Generator`, `torch.Generator` or a seed.

    Returns:
        (T',) ids, of the type of `ids`; `ids` itself is not changed.

    Raises:
        UsageError: A number is out of range, or the lengths differ.

    >>> ids = [0, 10, 11, 12, 13, 14, 2]
    >>> starts = [False, True, True, False, True, True, False]
    >>> mask_whole_words(ids, starts, mask_id=99, ratio=0.5, poisson_lambda=0, replace_length=-1, generator=3)
    [0, 99, 99, 99, 13, 14, 2]
    >>> mask_whole_words(ids, starts, mask_id=99, ratio=0.5, poisson_lambda=0, replace_length=1, generator=3)
    [0, 99, 99, 13, 14, 2]
    """
    (masked,) = mask_whole_words_batch(
        [ids],
        [is_word_start],
        mask_id=mask_id,
        ratio=ratio,
        poisson_lambda=poisson_lambda,
        replace_length=replace_length,
        random_ratio=random_ratio,
        vocab_range=vocab_range,
        generator=generator,
    )
    if hasattr(ids, "new_tensor"):
        return ids.new_tensor(masked)
    return masked.astype(ids.dtype) if isinstance(ids, np.ndarray) else masked.tolist()


def mask_whole_words_batch(
    ids: Sequence[Any], is_word_start: Sequence[Any], *, mask_id: int, **options: Any
) -> list[np.ndarray]:
    """Mask words of many sentences, each independently.

    Args:
        ids: N sentences, each as `mask_whole_words` takes it.
        is_word_start: The flags of each sentence.
        mask_id: The id of `<mask>`.
        **options: The other arguments of `mask_whole_words`.

    Returns:
        N int64 arrays.

    Raises:
        UsageError: As `mask_whole_words`.
    """
    tokens, lengths = _joined(ids, np.int64)
    flags, flag_lengths = _joined(is_word_start, np.int8)
    if not np.array_equal(lengths, flag_lengths):
        raise UsageError(f"expected a flag for each of the {len(tokens)} ids, found {len(flags)} flags")
    tokens, lengths = mask_whole_words_packed(tokens, flags, lengths, mask_id=mask_id, **options)
    stops = np.cumsum(lengths).tolist()
    return [tokens[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def mask_whole_words_packed(
    tokens: np.ndarray,
    is_word_start: np.ndarray,
    lengths: np.ndarray,
    *,
    mask_id: int,
    ratio: float = 0.3,
    poisson_lambda: float = 3.0,
    replace_length: int = 1,
    random_ratio: float = 0.0,
    vocab_range: tuple[int, int] | None = None,
    generator: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Mask words of many sentences that lie end to end in one array; the fastest of the three functions.

    Args:
        tokens: (T,) ids of all sentences, each with bos and eos.
        is_word_start: (T,) flags, as in `mask_whole_words`.
        lengths: (N,) how many tokens each sentence has.
        mask_id: As in `mask_whole_words`, like all that follow.
        ratio: The share of words.
        poisson_lambda: Mean span length.
        replace_length: 1, 0 or -1.
        random_ratio: The share of random replacements.
        vocab_range: Range of random tokens.
        generator: Source of randomness.

    Returns:
        (T',) int64 ids and (N,) int64 lengths.

    Raises:
        UsageError: As `mask_whole_words`.
    """
    _check(ratio, poisson_lambda, replace_length, random_ratio, vocab_range)
    tokens, flags, lengths = (
        np.ascontiguousarray(array, dtype)
        for array, dtype in ((tokens, np.int64), (is_word_start, np.int8), (lengths, np.int64))
    )
    if not len(tokens) == len(flags) == lengths.sum():
        raise UsageError(
            f"expected lengths that add up to {len(tokens)} ids and flags, found {len(flags)} flags and a "
            f"sum of {lengths.sum()}"
        )
    if ratio == 0 or not len(tokens):
        return tokens.copy(), lengths.copy()
    low, high = vocab_range or (0, 1)
    how = (int(mask_id), int(replace_length), float(random_ratio), int(low), int(high))
    cumulative = _cumulative_lengths(float(poisson_lambda))
    return _mask(tokens, flags, lengths, float(ratio), cumulative, how, _random_state(generator))


@njit(cache=True)
def _uniform(state):
    """A number in [0, 1) from a state of one uint64. SplitMix64: Steele, Lea and Flood, OOPSLA 2014."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def _draw_spans(flags, lengths, ratio, cumulative, state):
    """Draw span lengths until they reach the budget of each of N sentences.

    Returns (S,) positive lengths in words, and for each sentence how many of them belong to it and how many were zero.
    """
    spans = np.empty(len(flags), np.int64)
    counts = np.zeros(len(lengths), np.int64)
    inserts = np.zeros(len(lengths), np.int64)
    start = drawn = 0
    for n in range(len(lengths)):
        words = 0
        for i in range(start + 1, start + lengths[n] - 1):
            words += flags[i] == 1
        start += lengths[n]
        left = math.ceil(words * ratio - ROUNDING)
        while left > 0:
            u = _uniform(state)
            length = 0
            while cumulative[length] <= u:
                length += 1
            if length == 0:
                inserts[n] += 1
            else:
                spans[drawn] = min(length, left)
                left -= spans[drawn]
                counts[n] += 1
                drawn += 1
    return spans[:drawn], counts, inserts


@njit(cache=True)
def _mask(tokens, flags, lengths, ratio, cumulative, how, state):
    """Draw spans and put them at random words: (T,) tokens of N sentences -> (T',), (N,)."""
    spans, counts, inserts = _draw_spans(flags, lengths, ratio, cumulative, state)
    longest = lengths.max()
    words = np.empty(longest, np.int64)
    owner = np.empty(longest, np.int64)
    is_random = np.zeros(longest, np.bool_)
    result = np.empty(len(tokens) + inserts.sum(), np.int64)
    new_lengths = np.empty(len(lengths), np.int64)
    start = first = end = 0
    for n in range(len(lengths)):
        sentence = tokens[start : start + lengths[n]]
        marks = flags[start : start + lengths[n]]
        own = spans[first : first + counts[n]]
        start += lengths[n]
        first += counts[n]
        _cover(marks, own, how[2], words, owner, is_random, state)
        kept = _replace(sentence, owner, is_random, how, state, result[end:])
        if inserts[n]:
            _insert(result[end : end + kept + inserts[n]], kept, how, state)
        new_lengths[n] = kept + inserts[n]
        end += new_lengths[n]
    return result[:end], new_lengths


@njit(cache=True)
def _cover(marks, spans, random_ratio, words, owner, is_random, state):
    """Write to `owner` where the first span that covers each token begins, or -1; and which of them are random."""
    last = len(marks) - 1
    found = 0
    for i in range(len(marks)):
        owner[i] = -1
        words[found] = i
        found += (marks[i] == 1) & (i > 0) & (i < last)
    for s in range(len(spans)):
        swap = s + int(_uniform(state) * (found - s))
        words[s], words[swap] = words[swap], words[s]
        begin = words[s]
        is_random[begin] = random_ratio > 0 and _uniform(state) < random_ratio
        left = spans[s]
        i = begin
        while i < last and marks[i] >= 0:
            left -= marks[i]
            if left < 0:
                break
            if owner[i] == -1 or owner[i] > begin:
                owner[i] = begin
            i += 1


@njit(cache=True)
def _replace(sentence, owner, is_random, how, state, result):
    """Write what remains of a sentence to `result`, and return its length."""
    mask_id, replace_length, _, low, high = how
    kept = 0
    for i in range(len(sentence)):
        begin = owner[i]
        result[kept] = sentence[i] if begin == -1 else mask_id
        if begin >= 0 and is_random[begin]:
            result[kept] = low + int(_uniform(state) * (high - low))
        kept += (begin == -1) | (replace_length == -1) | ((replace_length == 1) & (begin == i))
    return kept


@njit(cache=True)
def _insert(result, kept, how, state):
    """Spread the first `kept` tokens of `result` over all of it, with masks at random places between bos and eos.

    Every choice of places is equally likely. ceil(n * random_ratio) of the n masks are random tokens.
    """
    mask_id, _, random_ratio, low, high = how
    left = len(result) - kept
    random_left = math.ceil(left * random_ratio - ROUNDING)
    result[-1] = result[kept - 1]
    kept -= 2
    for place in range(len(result) - 2, 0, -1):
        if _uniform(state) * place >= left:
            result[place] = result[kept]
            kept -= 1
            continue
        becomes_random = random_left > 0 and _uniform(state) * left < random_left
        random_left -= becomes_random
        left -= 1
        result[place] = low + int(_uniform(state) * (high - low)) if becomes_random else mask_id


@functools.lru_cache(maxsize=16)
def _cumulative_lengths(mean: float) -> np.ndarray:
    """Probability of a span of at most 0, 1, 2, … words; the last is 1. A mean of 0 stands for single words."""
    if mean == 0:
        return np.array([0.0, 1.0])
    probabilities = [math.exp(-mean)]
    while len(probabilities) <= mean or probabilities[-1] >= RAREST_LENGTH:
        probabilities.append(probabilities[-1] * mean / len(probabilities))
    cumulative = np.cumsum(probabilities) / np.sum(probabilities)
    cumulative[-1] = 1.0
    return cumulative


def _check(
    ratio: float,
    poisson_lambda: float,
    replace_length: int,
    random_ratio: float,
    vocab_range: tuple[int, int] | None,
) -> None:
    for name, value in (("ratio", ratio), ("random_ratio", random_ratio)):
        if not 0 <= value <= 1:
            raise UsageError(f"expected {name} in [0, 1], found {value}")
    if poisson_lambda != 0 and not SHORTEST_MEAN <= poisson_lambda <= LONGEST_MEAN:
        raise UsageError(f"expected poisson_lambda 0 or in [{SHORTEST_MEAN}, {LONGEST_MEAN}], found {poisson_lambda}")
    if replace_length not in (-1, 0, 1):
        raise UsageError(f"expected replace_length -1, 0 or 1, found {replace_length}")
    if random_ratio and (vocab_range is None or vocab_range[0] >= vocab_range[1]):
        raise UsageError(f"random_ratio needs vocab_range=(first, last + 1), found {vocab_range}")


def _joined(rows: Sequence[Any], dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Rows end to end, and the length of each."""
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    if not len(rows):
        return np.zeros(0, dtype), lengths
    return np.concatenate(rows, dtype=dtype, casting="unsafe"), lengths


def _random_state(generator: Any) -> np.ndarray:
    """A state for the compiled code's own random numbers, (1,) uint64, drawn from the generator if there is one."""
    if hasattr(generator, "initial_seed"):
        import torch

        generator = int(torch.randint(2**63 - 1, (1,), generator=generator, device=generator.device))
    return np.random.default_rng(generator).integers(2**64, size=1, dtype=np.uint64, endpoint=False)

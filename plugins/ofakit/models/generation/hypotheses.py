"""What beam search and sampling share: the settings, the hypotheses, and the ban on repeated n-grams.

Source of the semantics: fairseq's sequence generator as ModelScope 1.40.2 carries it
(`models/multi_modal/ofa/generate/sequence_generator.py`, `ngram_repeat_block.py`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ofakit.errors import UsageError

__all__ = [
    "Banned",
    "Hypothesis",
    "SearchSettings",
    "SpecialTokens",
    "Stepper",
    "is_integer",
    "banned_after",
    "check_temperature",
    "image_seeds",
    "repeated_ngrams",
]

NEGATIVE = float("-inf")
CHECK_EVERY = 4  # steps between two looks at the accelerator: each look waits for it
SEEDS = -(2**63), 2**64 - 1  # what PyTorch's generators take


class Hypothesis(NamedTuple):
    """One generated sequence.

    Args:
        tokens: Token ids without bos and with eos.
        score: Sum of the tokens' log-probabilities, divided by `len(tokens) ** length_penalty`.
    """

    tokens: list[int]
    score: float


class SpecialTokens(NamedTuple):
    """Ids of the tokens that the search treats apart.

    Args:
        bos: Starts every sequence; never returned.
        pad: Never produced.
        eos: Ends every sequence.
    """

    bos: int
    pad: int
    eos: int


class Stepper(Protocol):
    """What the search asks of a decoder and its cache."""

    def step(self, tokens: Tensor) -> Tensor:
        """Feed the next token of every row.

        Args:
            tokens: `(rows,)` token ids; in the first step possibly one per image, for all its rows.

        Returns:
            `(rows, d)`, or as many rows as there are tokens.
        """

    def reorder(self, index: Tensor) -> None:
        """Let row r go on from what row `index[r]` has seen.

        Args:
            index: `(rows,)`.
        """

    def select(self, images: Tensor) -> None:
        """Keep some images only.

        Args:
            images: Positions in the present batch, ascending.
        """


@dataclass(frozen=True)
class SearchSettings:
    """How to search. Checked on construction.

    Args:
        num_beams: Width of the beam; 1 is greedy search. Not used in sampling.
        max_length: At most this many tokens before eos; the stock generator's `max_len_b`.
        min_length: At least this many tokens before eos.
        no_repeat_ngram_size: No sequence, bos included, holds an n-gram of this size twice; 0 allows all.
        length_penalty: Exponent of the length that divides a score, from -10 to 10, so that no length's power leaves
            fp32; under 1 favours short sequences.
        num_return_sequences: Sequences per image; at most `num_beams` in beam search.
        do_sample: Draw instead of searching.
        top_k: Sampling: draw from the k likeliest tokens; 0 from all.
        top_p: Sampling: draw from the fewest likeliest tokens that hold this share of the probability, in (0, 1].
        temperature: Divides the logits, over 0 and finite.

    Raises:
        UsageError: A setting is out of its range; the message says what was expected and found.
    """

    num_beams: int = 5
    max_length: int = 16
    min_length: int = 1
    no_repeat_ngram_size: int = 3
    length_penalty: float = 1.0
    num_return_sequences: int = 1
    do_sample: bool = False
    top_k: int = 0
    top_p: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name, lowest in (
            ("num_beams", 1),
            ("max_length", 0),
            ("min_length", 0),
            ("no_repeat_ngram_size", 0),
            ("num_return_sequences", 1),
            ("top_k", 0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
                raise UsageError(f"{name}: expected an integer of at least {lowest}, found {value!r}")
        _check_number("length_penalty", self.length_penalty, "from -10 to 10", lambda value: -10 <= value <= 10)
        _check_number("top_p", self.top_p, "in (0, 1]", lambda value: 0 < value <= 1)
        check_temperature(self.temperature)
        # powers of an integer by an integer are integers, which overflow where floats do not
        object.__setattr__(self, "length_penalty", float(self.length_penalty))
        if self.min_length > self.max_length:
            raise UsageError(f"min_length: expected at most max_length, {self.max_length}, found {self.min_length}")
        if not self.do_sample and self.num_return_sequences > self.num_beams:
            raise UsageError(
                f"num_return_sequences: expected at most num_beams, {self.num_beams}, found "
                f"{self.num_return_sequences}; raise num_beams, or set do_sample to draw instead of searching"
            )


def is_integer(value: Any, lowest: int, highest: int) -> bool:
    """Whether a value is an integer of a range; a float is none, whatever its value.

    Args:
        value: Anything.
        lowest: The range's first.
        highest: The range's last.
    """
    try:
        return lowest <= operator.index(value) <= highest
    except TypeError:
        return False


def check_temperature(temperature: float) -> None:
    """Refuse what cannot divide logits.

    Args:
        temperature: Over 0 and finite.

    Raises:
        UsageError: It is not.
    """
    _check_number("temperature", temperature, "over 0 and finite", lambda value: 0 < value < math.inf)


def _check_number(name: str, value: Any, expected: str, fits: Callable[[Any], bool]) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not fits(value):
        raise UsageError(f"{name}: expected a number {expected}, found {value!r}")


class Banned(NamedTuple):
    """What may not follow. Its probability is not given to other tokens.

    Args:
        everywhere: Local tokens banned in every row.
        by_row: `(rows, n)` local tokens, or none.
    """

    everywhere: list[int]
    by_row: Tensor | None

    def apply(self, logits: Tensor) -> None:
        """Set the logits of what is banned to -inf, in place.

        Args:
            logits: `(rows, V)`.
        """
        for token in self.everywhere:
            logits[:, token] = NEGATIVE
        if self.by_row is not None:
            logits.scatter_(1, self.by_row, NEGATIVE)


def banned_after(tokens: Tensor, step: int, settings: SearchSettings, special: SpecialTokens) -> Banned:
    """What may not follow now: pad, eos before `min_length`, and what would repeat an n-gram.

    Args:
        tokens: `(rows, L)`, bos first.
        step: Tokens of a row so far, bos not counted.
        settings: `min_length` and `no_repeat_ngram_size`.
        special: Ids, of the kind that `tokens` holds.
    """
    everywhere = [special.pad] + [special.eos] * (step < settings.min_length)
    return Banned(everywhere, repeated_ngrams(tokens, step + 1, settings.no_repeat_ngram_size, special.pad))


def repeated_ngrams(tokens: Tensor, length: int, size: int, unused: int) -> Tensor | None:
    """Tokens that would end an n-gram which the sequence already holds.

    Args:
        tokens: `(rows, L)`, each row begins with bos, which counts.
        length: How many tokens of a row are there; the next one is looked at.
        size: n; 0 for no ban.
        unused: Stands where nothing is banned: a token that is never produced.

    Returns:
        `(rows, length - n + 1)` token ids, or none where a sequence is too short to repeat anything.

    >>> repeated_ngrams(torch.tensor([[0, 7, 8, 9, 7, 8]]), 6, 3, unused=1)
    tensor([[1, 9, 1, 1]])
    """
    if size == 0 or length < size:
        return None
    windows = tokens[:, :length].unfold(1, size, 1)
    ending = tokens[:, length - size + 1 : length]
    same = (windows[..., :-1] == ending[:, None]).all(-1)
    return torch.where(same, windows[..., -1], unused)


def image_seeds(seed: int | Sequence[int] | None, images: int) -> list[int]:
    """One seed per image.

    Args:
        seed: One for the first image, whose successors seed the next ones; or one per image; or none for seeds from
            PyTorch's global generator. From -2**63 to 2**64 - 1.
        images: How many.

    Raises:
        UsageError: There is not one seed per image, or one is no integer of that range.
    """
    if seed is None:
        return torch.randint(2**62, (images,)).tolist()
    if is_integer(seed, *SEEDS):
        seed = range(operator.index(seed), operator.index(seed) + images)
    seeds = list(seed) if isinstance(seed, Iterable) else [seed]
    wrong = [value for value in seeds if not is_integer(value, *SEEDS)]
    if wrong or len(seeds) != images:
        found = f"{wrong[0]!r}; each is from -2**63 to 2**64 - 1" if wrong else len(seeds)
        raise UsageError(f"seed: expected an integer or one per image, {images}, found {found}")
    return [operator.index(value) for value in seeds]

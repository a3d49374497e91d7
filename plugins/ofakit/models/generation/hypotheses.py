"""What beam search and sampling share: the hypotheses, the seeds, and the ban on repeated n-grams.

Source of the semantics: fairseq's sequence generator as ModelScope 1.40.2 carries it
(`models/multi_modal/ofa/generate/sequence_generator.py`, `ngram_repeat_block.py`).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, SupportsIndex, TypeGuard

import torch
from torch import Tensor

from ofakit.errors import UsageError
from ofakit.models.generation.protocol import SpecialTokens
from ofakit.models.generation.settings import SearchSettings

__all__ = [
    "Banned",
    "Hypothesis",
    "banned_after",
    "example_seeds",
    "is_integer",
    "repeated_ngrams",
]

NEGATIVE = float("-inf")
CHECK_EVERY = 4  # steps between two looks at the accelerator: each look waits for it
SEEDS = -(2**63), 2**64 - 1  # what PyTorch's generators take


class Hypothesis(NamedTuple):
    """One generated sequence.

    Args:
        tokens: Token ids without bos and with eos; T5's may lack eos where `max_length` cut them off.
        score: Sum of the tokens' log-probabilities, divided by `len(tokens) ** length_penalty`.
    """

    tokens: list[int]
    score: float


def is_integer(value: Any, lowest: int, highest: int) -> TypeGuard[SupportsIndex]:
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


class Banned(NamedTuple):
    """What may not follow. Its probability is not given to other tokens.

    Args:
        everywhere: Local tokens banned in every row.
        by_row: `(rows, n)` local tokens, or none.
        spared: A token that stands in `by_row` where nothing is banned and that may follow, or none.
    """

    everywhere: list[int]
    by_row: Tensor | None
    spared: int | None = None

    def apply(self, logits: Tensor) -> None:
        """Set the logits of what is banned to -inf, in place.

        Args:
            logits: `(rows, V)`.
        """
        for token in self.everywhere:
            logits[:, token] = NEGATIVE
        if self.by_row is not None:
            kept = None if self.spared is None else logits[:, self.spared].clone()
            logits.scatter_(1, self.by_row, NEGATIVE)
            if kept is not None:
                logits[:, self.spared] = kept


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


def example_seeds(seed: int | Sequence[int] | None, examples: int) -> list[int]:
    """One seed per example.

    Args:
        seed: One for the first example, whose successors seed the next ones; or one per example; or none for seeds from
            PyTorch's global generator. From -2**63 to 2**64 - 1.
        examples: How many.

    Raises:
        UsageError: There is not one seed per example, or one is not an integer of that range.
    """
    if seed is None:
        return torch.randint(2**62, (examples,)).tolist()
    if is_integer(seed, *SEEDS):
        seed = range(operator.index(seed), operator.index(seed) + examples)
    seeds = list(seed) if isinstance(seed, Iterable) else [seed]
    wrong = [value for value in seeds if not is_integer(value, *SEEDS)]
    if wrong or len(seeds) != examples:
        found = f"{wrong[0]!r}; each is from -2**63 to 2**64 - 1" if wrong else len(seeds)
        raise UsageError(f"seed: expected an integer or one per example, {examples}, found {found}")
    return [operator.index(value) for value in seeds]

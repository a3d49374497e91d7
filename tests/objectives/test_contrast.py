"""The loss of each pair of a question and its passage, against its definition in plain arithmetic."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives._contrast import DIRECTIONS, Contrast, mean_over_questions
from ofakit.objectives._relevance import Relations

B, N = 4, 9
OWNER = [0, 0, 0, 1, 2, 2, 3, 3, 3]
POSITIVE = [True, True, False, True, True, False, False, False, False]
ALSO = {(0, 3), (2, 0), (1, 6)}
"""Pairs that answer, though they were sampled for another question."""


def related():
    own = torch.tensor([[owner == row for owner in OWNER] for row in range(B)])
    positive = own & torch.tensor(POSITIVE)
    also = torch.tensor([[(row, column) in ALSO for column in range(N)] for row in range(B)])
    return Relations(own, positive, positive | also)


def vectors(dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(B, 5, generator=generator, dtype=dtype), torch.randn(N, 5, generator=generator, dtype=dtype)


def by_definition(queries, passages, row, column, directions, partition, scale, alpha, which):
    """Loops over what competes, and sums of exponentials."""

    def similar(first, second):
        return float(first @ second / first.norm() / second.norm())

    def answers(question, passage):
        return (question, passage) in ALSO or (OWNER[passage] == question and POSITIVE[passage])

    def logit(other):
        found = similar(queries[row], passages[other])
        own = OWNER[other] == row
        hard = {"hard_negatives": own, "in_batch_negatives": not own, "all_negatives": True}[which]
        return scale * found + (alpha * found if hard and other != column else 0)

    pair = scale * similar(queries[row], passages[column])
    others = [q for q in range(B) if not answers(q, column)]
    sums = {
        "query_to_passage": [pair, *(logit(p) for p in range(N) if not answers(row, p))],
        "passage_to_query": [pair, *(scale * similar(queries[q], passages[column]) for q in others)],
        "query_to_query": [scale * similar(queries[row], queries[q]) for q in others],
        "passage_to_passage": [
            scale * similar(passages[column], passages[p])
            for p in range(N)
            if not answers(row, p) and OWNER[p] != row
        ],
    }  # fmt: skip
    logs = [[math.exp(value) for value in sums[direction]] for direction in directions]
    if partition == "joint":
        return math.log(sum(map(sum, logs))) - pair
    return sum(math.log(sum(part)) for part in logs) / len(logs) - pair


SUBSETS = [subset for size in (1, 2, 3, 4) for subset in combinations(DIRECTIONS, size)]


@pytest.mark.parametrize("partition", ["joint", "per_direction"])
@pytest.mark.parametrize("directions", SUBSETS, ids="+".join)
def test_every_choice_of_directions_is_its_definition(directions, partition):
    queries, passages = vectors()
    for which in ("hard_negatives", "in_batch_negatives", "all_negatives"):
        contrast = Contrast("cosine", directions, partition, 1.5, which)
        losses = contrast(queries, passages, related(), 4.0)
        pairs = related().positive.nonzero().tolist()
        wanted = [by_definition(queries, passages, *pair, directions, partition, 4.0, 1.5, which) for pair in pairs]
        assert losses.tolist() == pytest.approx(wanted, rel=1e-12) and len(pairs) == 4


def test_the_mean_is_over_questions_not_over_pairs():
    losses = torch.tensor([1.0, 3.0, 10.0, 4.0])
    assert mean_over_questions(losses, related()).item() == pytest.approx((2 + 10 + 4) / 3)


def test_no_pair_is_0_with_a_gradient_of_0():
    queries, passages = (rows.requires_grad_() for rows in vectors())
    nothing = torch.zeros(B, N, dtype=torch.bool)
    contrast = Contrast("cosine", DIRECTIONS, "per_direction", 3.0)
    loss = mean_over_questions(
        contrast(queries, passages, Relations(nothing, nothing, nothing), 20.0), Relations(nothing, nothing, nothing)
    )
    loss.backward()
    assert loss.item() == 0 and not queries.grad.any() and not passages.grad.any()


@pytest.mark.parametrize("partition", ["joint", "per_direction"])
def test_where_nothing_competes_the_loss_is_0_and_its_gradient_finite(partition):
    """Every passage answers the only question."""
    queries, passages = (rows[:1].clone().requires_grad_() for rows in vectors())
    all_of_it = torch.ones(1, 1, dtype=torch.bool)
    contrast = Contrast("cosine", ("query_to_query", "passage_to_passage"), partition)
    losses = contrast(queries, passages, Relations(all_of_it, all_of_it, all_of_it), 20.0)
    losses.sum().backward()
    assert losses.tolist() == [0.0] and queries.grad.isfinite().all() and passages.grad.isfinite().all()


def test_large_similarities_do_not_overflow():
    queries, passages = ((1e6 * rows).float().requires_grad_() for rows in vectors())
    losses = Contrast("dot")(queries, passages, related(), 1e6)
    losses.sum().backward()
    assert losses.isfinite().all() and queries.grad.isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directions": ("query_to_pasage",)}, "unknown directions 'query_to_pasage': did you mean 'query_to_passage'"),
        ({"directions": ()}, "expected directions without repetition"),
        ({"directions": DIRECTIONS[:1] * 2}, "expected directions without repetition"),
        ({"partition": "apart"}, "unknown partition 'apart'"),
        ({"hardness_of": "hard"}, "unknown hardness_of 'hard'"),
        ({"hardness": -1.0}, "hardness of at least 0, found -1.0"),
        ({"hardness": float("nan")}, "hardness of at least 0, found nan"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        Contrast(**arguments)

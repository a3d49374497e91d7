"""MaxSim equals its definition and golden file, and padding never wins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.models.heads.maxsim import maxsim


def test_it_is_that_of_sentence_transformers(shared):
    with np.load(shared / "golden/retrieval/tiny_bert/maxsim.npz") as arrays:
        found = {name: torch.tensor(arrays[name]) for name in arrays}
    scores = maxsim(found["queries"], found["documents"], found["query_mask"], found["document_mask"])
    assert torch.allclose(scores, found["scores"], atol=1e-6)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 10))
def test_padding_changes_nothing(queries, passages, more_query, more_passage, seed):
    generator = torch.Generator().manual_seed(seed)
    # every product is negative, so that a 0 in the place of padding would be the best
    first = torch.rand(queries, 3, 4, generator=generator, dtype=torch.float64)
    second = -torch.rand(passages, 5, 4, generator=generator, dtype=torch.float64)
    wanted = torch.stack([torch.stack([(q @ p.t()).amax(1).sum() for p in second]) for q in first])
    assert torch.allclose(maxsim(first, second), wanted)
    padded = (torch.cat([first, 9 + torch.zeros(queries, more_query, 4)], 1),
              torch.cat([second, 9 + torch.zeros(passages, more_passage, 4)], 1))  # fmt: skip
    masks = [torch.arange(rows.shape[1]).expand(len(rows), -1) < own for rows, own in zip(padded, (3, 5), strict=True)]
    assert torch.allclose(maxsim(*padded, *masks), wanted)


@pytest.mark.parametrize("tokens", [0, 3])
def test_what_has_no_token_scores_0_and_has_no_gradient(tokens):
    first, second = torch.ones(2, 3, 4, requires_grad=True), torch.ones(2, tokens, 4, requires_grad=True)
    nothing = torch.zeros(2, tokens, dtype=torch.bool)
    scores = maxsim(first, second, None, nothing)
    scores.sum().backward()
    assert scores.tolist() == [[0.0, 0.0], [0.0, 0.0]] and not first.grad.any() and not second.grad.any()
    assert maxsim(first, torch.ones(1, 2, 4), torch.zeros(2, 3, dtype=torch.bool)).tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize(
    "shapes",
    [[(2, 3, 4), (2, 5, 3), None, None], [(2, 3, 4), (5, 4), None, None], [(2, 3, 4), (2, 5, 4), (2, 4), None]],
)
def test_other_shapes_are_refused(shapes):
    tokens = [torch.zeros(shape) for shape in shapes[:2]]
    masks = [None if shape is None else torch.ones(shape, dtype=torch.bool) for shape in shapes[2:]]
    with pytest.raises(UsageError, match="expected tokens"):
        maxsim(*tokens, *masks)

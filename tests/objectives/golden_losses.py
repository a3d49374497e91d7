"""Vectors and losses that sentence-transformers computed from them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch


def inputs(shared):
    """Six questions with a positive, two negatives and three kinds of labels each."""
    with np.load(shared / "golden/retrieval/tiny_bert/loss_inputs.npz") as arrays:
        found = {name: torch.tensor(arrays[name]) for name in arrays}
    found["queries"].requires_grad_()
    return found


def golden(shared):
    return json.loads((shared / "golden/retrieval/tiny_bert/golden.json").read_text())


def same_as(loss, queries, wanted):
    """Value and gradient of a loss are those of the golden file."""
    loss.backward()
    assert loss.item() == pytest.approx(wanted["loss"], rel=1e-5)
    assert queries.grad.norm().item() == pytest.approx(wanted["grad_query_norm"], rel=1e-5)
    assert queries.grad[0, 0].item() == pytest.approx(wanted["grad_query_0_0"], abs=1e-5)


def joined(found, passages, teacher=None):
    """The representations of an objective: passages are a list of (6, d) tensors, the positives first."""
    rows = torch.arange(6)
    count = 6 * len(passages)
    return {
        "queries": found["queries"],
        "passages": torch.cat(passages),
        "query_index": rows,
        "passage_index": torch.arange(count),
        "owner": rows.repeat(len(passages)),
        "positive": torch.arange(count) < 6,
        **({} if teacher is None else {"teacher": teacher.t().flatten()}),
    }

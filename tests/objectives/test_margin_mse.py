"""Margin-MSE: values and gradients of sentence-transformers, and triples that the teacher did not score."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives.margin_mse import MarginMSE, margin_mse_loss

from tests.objectives.golden_losses import golden, inputs, joined, same_as
from tests.objectives.small_retriever import SmallRetriever, prepared, whole_batch


def margins_of(found, name):
    """The teacher's margins, and scores that have them."""
    labels = found[name][:, None] if found[name].ndim == 1 else found[name]
    if name == "labels3":
        return labels[:, :1] - labels[:, 1:], labels
    return labels, torch.cat([torch.zeros(6, 1), -labels], 1)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("marginmse_dot_labels_are_differences", "labels1"),
        ("marginmse_dot_two_negatives", "labels2"),
        ("marginmse_dot_labels_are_scores", "labels3"),
    ],
)
@pytest.mark.parametrize("through", ["function", "objective"])
def test_it_is_that_of_sentence_transformers(name, labels, through, shared):
    found = inputs(shared)
    margins, scores = margins_of(found, labels)
    negatives = [found["negatives1"], found["negatives2"]][: margins.shape[1]]
    if through == "function":
        loss = margin_mse_loss(found["queries"], found["positives"], torch.stack(negatives, 1), margins)
    else:
        loss, logs = MarginMSE().loss(joined(found, [found["positives"], *negatives], scores))
        assert logs["triples"] == margins.numel()
    same_as(loss, found["queries"], golden(shared)["losses"][name])


def test_it_is_its_definition_whatever_the_teacher_left_out():
    model, batch = SmallRetriever().double(), whole_batch()
    loss, logs = prepared(MarginMSE(similarity="cosine"), model)(model, batch, 1, 0)
    queries, passages = (model.embed(side, batch[side], ["text"]) for side in ("query", "passage"))
    scores = torch.cosine_similarity(queries[:, None], passages, dim=-1).tolist()
    owner, positive, teacher = (batch[name].tolist() for name in ("owner", "positive", "teacher"))
    found = [
        (scores[q][p] - scores[q][n] - (teacher[p] - teacher[n])) ** 2
        for q in range(len(queries))
        for p in range(len(owner))
        for n in range(len(owner))
        if owner[p] == owner[n] == q and positive[p] and not positive[n] and teacher[p] == teacher[p]
        if teacher[n] == teacher[n]
    ]
    assert logs["triples"] == len(found) > 5 and any(value != value for value in teacher)
    assert loss.item() == pytest.approx(sum(found) / len(found), rel=1e-12)


def test_nothing_is_0_and_other_shapes_are_refused():
    queries = torch.zeros(0, 3, requires_grad=True)
    assert margin_mse_loss(queries, queries, torch.zeros(0, 2, 3), torch.zeros(0, 2)).item() == 0
    with pytest.raises(UsageError, match=r"margins \(B, K\), found \[\[2, 3\], \[2, 3\], \[2, 1, 3\], \[2\]\]"):
        margin_mse_loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 1, 3), torch.zeros(2))

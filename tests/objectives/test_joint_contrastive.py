"""The joint monomodal and cross-modal loss: its definition, and texts that several questions share."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.joint_contrastive import JointContrastive
from torch.nn import functional as F

from tests.objectives.small_retriever import SmallRetriever, prepared, rows_of, whole_batch


def batch_of_pairs(numbers):
    """A question for each passage; passages of one number are equal in everything."""
    whole = whole_batch()
    first = [numbers.index(number) for number in numbers]
    rows = torch.arange(len(numbers))
    return {
        "query": rows_of(whole["query"], rows),
        "passage": rows_of(whole["passage"], torch.tensor(first)),
        "query_index": rows,
        "passage_index": torch.tensor(numbers),
        "owner": rows,
        "positive": torch.ones(len(numbers), dtype=torch.bool),
    }


def unknowing(model):
    objective = prepared(JointContrastive(), model)
    objective.known = torch.zeros(0, dtype=torch.int64)
    return objective


@pytest.mark.parametrize("numbers", [[3, 1, 8, 2], [3, 1, 3, 2, 1, 3]])
def test_it_is_its_definition_over_the_passages_that_differ(numbers):
    model, batch = SmallRetriever().double(), batch_of_pairs(numbers)
    loss, logs = unknowing(model)(model, batch, 1, 0)
    different = list(dict.fromkeys(numbers))
    first = torch.tensor([numbers.index(number) for number in different])
    questions = F.normalize(model.embed("query", batch["query"], ["image"]), dim=-1)
    monomodal, cross = (
        F.normalize(model.embed("passage", batch["passage"], [kind])[first], dim=-1) for kind in ("image", "text")
    )
    weights = model.joint_weights
    logits = model.logit_scale.exp() * (weights[0] * questions @ monomodal.t() + weights[1] * questions @ cross.t())
    wanted = F.cross_entropy(logits, torch.tensor([different.index(number) for number in numbers]))
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-12)
    assert logs["columns"] == len(different) and logs["monomodal_weight"].item() == pytest.approx(0.7)
    found, known = (torch.autograd.grad(value, [*model.parameters()], allow_unused=True) for value in (loss, wanted))
    for parameter, (name, _) in zip(zip(found, known, strict=True), model.named_parameters(), strict=True):
        ours, theirs = parameter
        assert ours is None or torch.allclose(ours, theirs, atol=1e-12), name
    assert sum(gradient is not None for gradient in found) == 9


def test_its_weights_belong_to_the_loss():
    assert JointContrastive().parameters == ("logit_scale", "joint_weights")
    assert OBJECTIVES.build({"type": "contrastive", "loss": "clip"}).parameters == ("logit_scale",)
    assert OBJECTIVES.build({"type": "contrastive", "loss": "dpr"}).parameters == ()


def test_a_model_without_weights_is_refused():
    model = SmallRetriever()
    model.joint_weights = None
    with pytest.raises(UsageError, match="joint_contrastive: .*parameter joint_weights.*SmallRetriever without"):
        unknowing(model).represent(model, batch_of_pairs([1, 2]))


def test_an_unknown_modality_of_the_second_vector_is_refused():
    with pytest.raises(UsageError, match="unknown modality 'title' of cross"):
        OBJECTIVES.build({"type": "joint_contrastive", "cross": ["title"]})

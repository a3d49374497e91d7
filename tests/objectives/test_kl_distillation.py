"""KL over each question's own list: values and gradients of sentence-transformers, and lists with gaps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.kl_distillation import KLDistillation, kl_loss
from torch.nn import functional as F

from tests.objectives.golden_losses import golden, inputs, joined, same_as
from tests.objectives.small_retriever import SmallRetriever, prepared, whole_batch


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("through", ["function", "objective"])
def test_it_is_that_of_sentence_transformers(temperature, through, shared):
    found = inputs(shared)
    passages = [found[name] for name in ("positives", "negatives1", "negatives2")]
    if through == "function":
        scores = torch.stack([(found["queries"] * rows).sum(1) for rows in passages], 1)
        loss = kl_loss(scores, found["labels3"], temperature)
    else:
        loss, logs = KLDistillation(temperature).loss(joined(found, passages, found["labels3"]))
        assert logs["lists"] == 6
    same_as(loss, found["queries"], golden(shared)["losses"][f"distill_kl_dot_T{temperature}"])


@pytest.mark.parametrize("min_max", [False, True])
def test_each_list_is_by_itself_whatever_the_teacher_left_out(min_max):
    model, batch = SmallRetriever().double(), whole_batch()
    loss, logs = prepared(KLDistillation(3.0, min_max), model)(model, batch, 1, 0)
    queries, passages = (model.embed(side, batch[side], ["text"]) for side in ("query", "passage"))
    scores, teacher = queries @ passages.t(), batch["teacher"].double()
    lists = [((batch["owner"] == row) & ~teacher.isnan()).nonzero().flatten() for row in range(len(queries))]
    found = []
    for row, places in enumerate(lists):
        if len(places) > 1:
            taught = teacher[places]
            if min_max:
                taught = (taught - taught.min()) / (taught.max() - taught.min())
            log_p = F.log_softmax(scores[row, places] / 3, 0)
            found.append(9 * F.kl_div(log_p, F.softmax(taught / 3, 0), reduction="sum"))
    assert logs["lists"] == len(found) and 3 < len(found) < len(queries)
    assert loss.item() == pytest.approx(torch.stack(found).mean().item(), rel=1e-6)


@given(st.integers(1, 4), st.integers(1, 5), st.floats(0.1, 10), st.booleans())
def test_it_is_never_negative_and_0_for_the_teacher_itself(lists, size, temperature, min_max):
    generator = torch.Generator().manual_seed(lists * size)
    scores, teacher = torch.randn(2, lists, size, generator=generator, dtype=torch.float64).unbind()
    assert kl_loss(scores, teacher, temperature, min_max=min_max) >= -1e-12
    assert kl_loss(teacher + 5, teacher, temperature).item() == pytest.approx(0, abs=1e-12)


def test_equal_scores_of_a_teacher_are_stretched_to_nothing():
    loss = kl_loss(torch.tensor([[1.0, 1.0, 4.0]]), torch.full((1, 3), 7.0), listed=None, min_max=True)
    assert loss.item() == pytest.approx(kl_loss(torch.tensor([[1.0, 1.0, 4.0]]), torch.zeros(1, 3)).item())


def test_lists_of_one_or_none_do_not_count():
    scores = torch.randn(3, 4, requires_grad=True)
    listed = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    teacher = torch.randn(3, 4)
    loss = kl_loss(scores, teacher, listed=listed)
    loss.backward()
    assert loss.item() == pytest.approx(kl_loss(scores[:1, :2], teacher[:1, :2]).item())
    assert not scores.grad[1:].any() and not scores.grad[0, 2:].any() and scores.grad[0, :2].any()
    assert kl_loss(scores, teacher, listed=listed & False).item() == 0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_nothing_can_be_divided_by_is_refused(temperature):
    with pytest.raises(UsageError, match="temperature.*(above 0|finite number)"):
        OBJECTIVES.build({"type": "kl_distillation", "temperature": temperature})


def test_other_shapes_are_refused():
    with pytest.raises(UsageError, match=r"in the same shape, found \[\[2, 3\], \[2, 2\], \[2, 3\]\]"):
        kl_loss(torch.zeros(2, 3), torch.zeros(2, 2))

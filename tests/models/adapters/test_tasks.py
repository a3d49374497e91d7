"""Which task a model is at."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.adapters import using_task
from ofakit.models.adapters.tasks import ALL, PerTask, TaskChoice, adapter_set_of
from torch import nn

from tests.models.adapters.small import bert, made, states


def test_a_choice_ends_with_its_block_also_when_that_fails():
    model = made("bert", "lora", ["a", "b"])
    choice = adapter_set_of(model).choice
    with using_task(model, "a"):
        with using_task(model, "b"), using_task(model, None):
            assert choice.current == "b"
        assert choice.current == "a"
    with pytest.raises(ZeroDivisionError), using_task(model, "a"):
        _ = 1 / 0
    assert choice.current is None


def test_an_unknown_task_is_refused_and_a_model_without_adapters_takes_any():
    with (
        pytest.raises(UsageError, match="chosen task is 'captoin'.*caption"),
        using_task(made("bert", "lora", ["vqa", "caption"]), "captoin"),
    ):
        pass
    with using_task(bert(), "anything"):
        pass


def test_a_copy_has_a_choice_of_its_own():
    model = made("bert", "hyperformer", ["a", "b"])
    other = copy.deepcopy(model)
    with torch.no_grad(), using_task(model, "a"), using_task(other, "b"):
        assert not torch.equal(states(model), states(other))
        with using_task(other, "a"):
            assert torch.equal(states(model), states(other))


def test_one_module_a_task_or_one_for_all():
    choice = TaskChoice(["a", "b"])
    several, one = PerTask(choice, lambda: nn.Linear(2, 2)), PerTask(choice, lambda: nn.Linear(2, 2), shared=True)
    assert [name for name, _ in several.named_children()] == ["a", "b"]
    assert [name for name, _ in one.named_children()] == [ALL]
    choice.current = "b"
    x = torch.randn(3, 2)
    assert torch.equal(several(x), several.b(x)) and torch.equal(one(x), one.all(x))
    assert several.of("a") is several.a
    assert TaskChoice(["only"]).key() == "only"

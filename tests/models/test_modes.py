"""Evaluation mode for a while: every part is afterwards in the mode it was in, and gradients are as asked for."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.modes import evaluation_mode
from torch import nn


@pytest.fixture
def model() -> nn.Module:
    """In training, but for a backbone with frozen statistics; and a part in training below one that is not."""
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), nn.Dropout(0.5), nn.Linear(4, 2))
    model.train()
    model[0].eval()
    model[0][0].train()
    return model


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("gradients", [True, False])
def test_every_part_comes_back_as_it_was(model, gradients):
    before = modes(model)
    assert before == [True, False, True, False, True, True]
    with evaluation_mode(model, gradients):
        assert not any(modes(model))
    assert modes(model) == before


@pytest.mark.parametrize("gradients", [True, False])
def test_an_error_inside_changes_nothing_of_that(model, gradients):
    before = modes(model)
    with pytest.raises(ZeroDivisionError), evaluation_mode(model, gradients):
        raise ZeroDivisionError
    assert modes(model) == before and not torch.is_inference_mode_enabled()


def test_a_model_in_evaluation_stays_there(model):
    model.eval()
    with evaluation_mode(model):
        pass
    assert not any(modes(model))


@pytest.mark.parametrize("outside", [True, False])
def test_gradients_are_as_outside_or_none(model, outside):
    x = torch.randn(3, 4)
    with torch.set_grad_enabled(outside):
        with evaluation_mode(model):
            assert model(x).requires_grad == outside
        with evaluation_mode(model, gradients=False):
            assert model(x).is_inference()


@pytest.mark.parametrize("gradients", [True, False])
def test_training_goes_on_under_autocast(model, gradients):
    x = torch.randn(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        with evaluation_mode(model, gradients):
            model(x)
        model(x).float().square().sum().backward()
    assert model[2].weight.grad is not None and model[2].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("gradients", [True, False])
def test_what_autocast_kept_is_dropped_where_it_has_no_gradients(model, gradients, monkeypatch):
    cleared = []
    monkeypatch.setattr(torch, "clear_autocast_cache", lambda: cleared.append(True))
    with evaluation_mode(model, gradients):
        assert not cleared
    assert cleared == [True] * (not gradients)

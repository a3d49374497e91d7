"""Compiled layers compute the same, copies of them are plain, and a missing compiler is told in a line."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.config.schema import TrainSection
from ofakit.models.compiled_layers import compile_layers, compiler_fault
from ofakit.models.repeated_layers import repeated_layers
from ofakit.trainers import Trainer
from pydantic import ValidationError

from tests.models.ofa.small import build, inputs
from tests.trainers.conftest import experiment, scenes_root  # noqa: F401 (fixtures)

CPU = torch.device("cpu")


def learnt(model):
    model(**inputs(4)).logits.square().mean().backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def test_gradients_names_and_copies_are_those_of_the_model():
    torch._dynamo.reset()
    plain = build().train()
    compiled = copy.deepcopy(plain)
    assert compile_layers(compiled, "eager") == len(repeated_layers(plain))  # what dynamo makes of it, uncompiled
    expected, found = learnt(plain), learnt(compiled)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    assert all(layer._compiled_call_impl is not None for layer in repeated_layers(compiled))
    assert all(layer._compiled_call_impl is None for layer in repeated_layers(copy.deepcopy(compiled)))


def failing(_):
    def call(*_):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.\nmore")

    return call


def test_without_a_compiler_one_line_says_so_and_layers_stay(experiment, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(torch, "compile", failing)
    assert compiler_fault(CPU) == (
        "RuntimeError: Failed to find C compiler. Please specify via CC environment variable."
    )
    trainer = Trainer(experiment=experiment(train={"compile": True}), device="cpu")
    assert all(layer._compiled_call_impl is None for layer in repeated_layers(trainer.model))
    said = [line for line in capsys.readouterr().err.splitlines() if "uncompiled" in line]
    assert len(said) == 1 and "compilation does not work here (RuntimeError: Failed to find C compiler" in said[0]


@pytest.mark.parametrize("other", [{"recompute": True}, {"sharding": "full"}])
def test_with_what_it_does_not_go_is_refused(other):
    with pytest.raises(ValidationError, match="compile cannot be combined with recompute or sharding"):
        TrainSection(compile=True, **other)

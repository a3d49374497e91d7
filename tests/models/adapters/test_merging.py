"""Adapters that become part of the weights."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.adapters import adapter_of, merge_adapters, using_task

from tests.models.adapters.small import FAMILIES, made, states


@pytest.mark.parametrize("kind", ["lora", "ia3"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tasks", [None, ["a", "b"]])
def test_a_merged_model_is_a_plain_one_that_computes_the_same(family, kind, tasks):
    model = made(family, kind, tasks)
    task = tasks and "b"
    with torch.no_grad(), using_task(model, task):
        wanted = states(model)
    merged = merge_adapters(model, task)
    plain = FAMILIES[family]()
    assert merged is model and list(merged.state_dict()) == list(plain.state_dict())
    assert {type(a) for a in merged.modules()} == {type(b) for b in plain.modules()} and adapter_of(model) is None
    with torch.no_grad():
        torch.testing.assert_close(states(merged), wanted, atol=1e-5, rtol=1e-4)
    if family == "ofa":
        assert merged.config.adapter is None


def test_what_cannot_be_merged_is_refused_by_name():
    with pytest.raises(UsageError, match="'bottleneck' do not amount to a change of weights.*ia3 and lora can"):
        merge_adapters(made("bert", "bottleneck"))
    with pytest.raises(UsageError, match="no adapters to merge"):
        merge_adapters(FAMILIES["bert"]())
    with pytest.raises(UsageError, match="chosen task is 'c'"):
        merge_adapters(made("bert", "lora", ["a", "b"]), "c")
    with pytest.raises(UsageError, match="chosen task is None"):
        merge_adapters(made("bert", "lora", ["a", "b"]))

"""Weights of Kronecker products."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.adapters.compacter import KroneckerLinear

from tests.models.adapters.small import made


@pytest.mark.parametrize("rank", [None, 1, 3])
def test_the_weight_is_a_sum_of_kronecker_products(rank):
    torch.manual_seed(0)
    layer = KroneckerLinear(12, 8, 4, rank, torch.randn(4, 4, 4))
    small = layer.weight if rank is None else layer.left @ layer.right
    wanted = sum(torch.kron(layer.rule[i], small[i]) for i in range(4))
    assert wanted.shape == (12, 8)
    torch.testing.assert_close(layer.matrix(), wanted)
    x = torch.randn(2, 5, 12)
    layer.bias.data.normal_()
    torch.testing.assert_close(layer(x), x @ wanted + layer.bias)


def test_a_shared_rule_is_one_parameter():
    several, one = made("bart", "compacter"), made("bart", "compacter with a shared rule")
    rules = [[name for name, _ in model.named_parameters() if "rule" in name] for model in (several, one)]
    assert len(rules[0]) == 20 and rules[1] == ["adapter_set.rule"]
    assert one.adapter_set.rule.shape == (4, 4, 4)


def test_initialisation():
    torch.manual_seed(0)
    layer = KroneckerLinear(200, 100, 2, None, torch.empty(2, 2, 2).normal_(std=0.01))
    bound = (2 * 6 / (100 + 50)) ** 0.5
    assert 0.95 * bound < layer.weight.abs().max() <= bound and not layer.bias.any()

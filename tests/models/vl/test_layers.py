"""T5's buckets of distances beside those of transformers."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.vl.layers import ACTIVATIONS, distance_buckets


@pytest.mark.parametrize("both_ways", [True, False])
@pytest.mark.parametrize("buckets, furthest", [(32, 128), (16, 128), (8, 20)])
def test_buckets_are_those_of_transformers(both_ways, buckets, furthest):
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    places = torch.arange(300)
    wanted = t5.T5Attention._relative_position_bucket(places[None] - places[:, None], both_ways, buckets, furthest)
    assert torch.equal(distance_buckets(300, buckets, furthest, both_ways, torch.device("cpu")), wanted)


def test_the_approximate_gelu_is_another_than_the_exact_one():
    x = torch.linspace(-3, 3, 50)
    gap = (ACTIVATIONS["gelu_new"](x) - ACTIVATIONS["gelu"](x)).abs().max()
    assert 1e-5 < gap < 1e-2

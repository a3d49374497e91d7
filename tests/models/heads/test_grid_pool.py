"""Grids pooled as VL-Adapter's models pool them."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.heads.grid_pool import pool_grid
from safetensors.torch import load_file
from torch.nn import functional as F


@pytest.mark.parametrize(
    ("case", "prefix", "side"), [("vlbart_grid", "model.encoder.", 6), ("vlt5_grid", "encoder.", 6)]
)
def test_the_visual_embedding_of_the_original_comes_out(shared, case, prefix, side):
    folder = shared / "golden" / "vl" / case
    weights = {name: value.float() for name, value in load_file(folder / "weights_fp16.safetensors").items()}
    weights = {name.removeprefix(f"{prefix}visual_embedding."): value for name, value in weights.items()}
    inputs, outputs = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")

    def embedded(name, values):
        states = F.linear(values, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"])
        if f"{name}.1.bias" in weights:
            return F.layer_norm(states, states.shape[-1:], weights[f"{name}.1.weight"], weights[f"{name}.1.bias"])
        return F.rms_norm(states, states.shape[-1:], weights[f"{name}.1.weight"], 1e-6)

    features = pool_grid(inputs["vis_feats"].float(), side)
    order = weights["obj_order_embedding.weight"].flip(0)[: side * side] + weights["img_order_embedding.weight"][0]
    places = embedded("absolute_vis_pos_embedding", torch.zeros(1, 1, 5))
    found = embedded("feat_embedding", features) + places + order
    torch.testing.assert_close(found, outputs["visual_embedding"], atol=3e-5, rtol=0)


def test_a_grid_of_that_size_stays_as_it_is():
    grid = torch.randn(2, 16, 3)
    assert torch.equal(pool_grid(grid, 4), grid)
    assert torch.equal(pool_grid(grid, 1)[:, 0], grid.amax(1))


@pytest.mark.parametrize(("count", "side"), [(10, 2), (0, 2), (9, 0)])
def test_what_is_no_square_is_refused(count, side):
    with pytest.raises(UsageError, match=f"expected a square grid of regions .* found {count} regions"):
        pool_grid(torch.zeros(1, count, 3), side)

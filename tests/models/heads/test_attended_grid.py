"""The grid follows what is attended to: moved or grown, the same features come out."""

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.heads.attended_grid import AttendedGrid, attended_region


def test_moments_of_an_even_weight_are_those_of_a_uniform_distribution():
    mean, deviation = attended_region(torch.full((2, 50, 80), 1 / 4000))
    torch.testing.assert_close(mean, torch.zeros(2, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation, torch.full((2, 2), 3**-0.5), atol=2e-3, rtol=0)


def test_moments_of_one_point_are_its_place():
    weights = torch.zeros(1, 4, 8)
    weights[0, 3, 1] = 1
    mean, deviation = attended_region(weights)
    torch.testing.assert_close(mean, torch.tensor([[-0.625, 0.75]]))
    assert deviation.max() < 0.02


def scene(top, left, scale):
    """A 2 x 3 patchwork of features on an empty map; channel 0 says where it is."""
    patches = torch.arange(1.0, 7.0).view(2, 3).repeat_interleave(4 * scale, 0).repeat_interleave(4 * scale, 1)
    features = torch.zeros(1, 2, 48, 48)
    features[0, 0, top : top + 8 * scale, left : left + 12 * scale] = 1
    features[0, 1, top : top + 8 * scale, left : left + 12 * scale] = patches
    return features


@pytest.fixture
def pool():
    pool = AttendedGrid(2, (2, 3), channels=1)
    with torch.no_grad():
        pool.attention.weight.copy_(torch.tensor([50.0, 0.0]).view(1, 2, 1, 1))
        pool.reduce.weight.copy_(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1))
        pool.reduce.bias.zero_()
        pool.reach.fill_(1.1)
    return pool


def test_the_grid_follows_a_thing_that_moves_and_grows(pool):
    expected = torch.nn.functional.gelu(torch.arange(1.0, 7.0))[None]
    for place in ((0, 0, 1), (30, 20, 1), (3, 5, 3), (24, 12, 2)):
        torch.testing.assert_close(pool(scene(*place)), expected, atol=1e-3, rtol=0)


def test_gradients_reach_attention_and_reach(pool):
    features = torch.randn(3, 2, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with torch.no_grad():
        pool.attention.weight.fill_(0.1)
    pool(features).square().sum().backward()
    for value in (pool.attention.weight, pool.reach, features):
        assert torch.isfinite(value.grad).all() and value.grad.abs().sum() > 0


def test_any_map_gives_as_many_numbers():
    pool = AttendedGrid(5, (3, 1), channels=4)
    assert pool.out_features == 12
    for height, width in ((1, 1), (3, 7), (8, 2)):
        assert pool(torch.randn(2, 5, height, width)).shape == (2, 12)


def test_a_grid_without_points_is_refused():
    with pytest.raises(UsageError, match="grid"):
        AttendedGrid(4, (0, 2))

"""A placed emblem stands where it was put, and a photograph follows from its seed."""

import math

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.preprocessors.composite import Composite, Placement, change_tone, lay_over, placement_grid

SIZE = 40
HALVES = np.zeros((20, 30, 3), np.uint8)
HALVES[:, :15, 0] = 200
HALVES[:, 15:, 2] = 200
WHITE = np.full((SIZE, SIZE, 3), 255, np.uint8)


def test_an_emblem_over_the_whole_canvas_is_shown_as_it_is():
    emblem = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    shown = lay_over(emblem, WHITE, Placement(width=1, height=1))
    np.testing.assert_array_equal(shown[1:-1, 1:-1], emblem[1:-1, 1:-1])


def test_the_emblem_stands_where_it_was_put_and_nowhere_else():
    shown = lay_over(HALVES, WHITE, Placement(width=0.5, height=0.25, center=(0.5, 0.25)))
    assert shown[10, 12].tolist() == [200, 0, 0]
    assert shown[10, 27].tolist() == [0, 0, 200]
    outside = np.ones((SIZE, SIZE), bool)
    outside[4:16, 9:31] = False
    assert (shown[outside] == 255).all()


def test_turning_is_clockwise_on_the_screen():
    shown = lay_over(HALVES, WHITE, Placement(width=0.6, height=0.6, radians=math.pi / 2))
    assert shown[14, 20].tolist() == [200, 0, 0], "the left half comes up"
    assert shown[26, 20].tolist() == [0, 0, 200]


def test_a_wave_moves_columns_up_and_down_but_covers_as_much():
    flat, waved = (
        placement_grid(Placement(width=0.8, height=0.4, wave=wave, periods=1.0), 200)[1] for wave in (0.0, 0.2)
    )
    assert waved.sum() == pytest.approx(float(flat.sum()), rel=0.01)
    rows = torch.arange(200.0)
    middles = [(mask * rows[:, None]).sum(0)[30:170] / mask.sum(0)[30:170] for mask in (flat, waved)]
    assert middles[0].max() - middles[0].min() < 0.1
    assert middles[1].max() - middles[1].min() == pytest.approx(2 * 0.2 * 0.4 * 200, rel=0.03)


def test_shade_and_rim_change_light_alone():
    grey = np.full((8, 8, 3), 100, np.uint8)
    rimmed = lay_over(grey, WHITE, Placement(width=1, height=1, rim=0.1, rim_light=0.5))
    assert rimmed[1, 20].tolist() == [50, 50, 50]
    assert rimmed[20, 20].tolist() == [100, 100, 100]
    shaded = lay_over(grey, WHITE, Placement(width=1, height=1, shade=0.2, periods=1.0))
    assert shaded[20, 20].tolist() == [120, 120, 120]
    assert shaded[20, 1].max() < 90


def test_tone_keeps_grey_grey_and_stays_in_range():
    pixels = np.random.default_rng(1).integers(0, 256, (4, 5, 3), np.uint8)
    np.testing.assert_allclose(change_tone(pixels, 1, 1, 1), pixels, atol=1e-4)
    grey = change_tone(pixels, 0, 1, 1)
    assert np.ptp(grey, axis=-1).max() < 1e-4
    strong = change_tone(pixels, 3, 3, 3)
    assert strong.min() >= 0 and strong.max() <= 255


def test_photographs_follow_from_their_seed_and_differ_from_each_other():
    make = Composite()
    first, again = (make(HALVES, WHITE, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    rng = np.random.default_rng(3)
    photographs = {make(HALVES, WHITE, rng).tobytes() for _ in range(20)}
    assert len(photographs) == 20


def test_placements_stay_in_their_ranges_and_nearly_on_the_canvas():
    make, rng = Composite(width=(0.4, 0.6), aspect=(0.5, 0.5), overhang=0.1), np.random.default_rng(0)
    placements = [make.placement(rng) for _ in range(300)]
    assert all(0.4 <= p.width <= 0.6 and p.height == pytest.approx(p.width / 2) for p in placements)
    lefts = [p.center[0] - p.width / 2 for p in placements]
    assert -0.06 <= min(lefts) < 0.02
    assert max(p.center[0] for p in placements) - min(p.center[0] for p in placements) > 0.4


@pytest.mark.parametrize("bad", [{"width": (0.8, 0.4)}, {"wave": (-0.1, 0.1)}, {"max_rim": -1.0}, {"width": (0, 1)}])
def test_ranges_that_make_no_sense_are_refused_by_name(bad):
    with pytest.raises(UsageError, match=next(iter(bad))):
        Composite(**bad)


def test_a_background_that_is_no_square_is_refused():
    with pytest.raises(UsageError, match="square"):
        lay_over(HALVES, WHITE[:10], Placement(width=1, height=1))

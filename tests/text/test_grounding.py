"""Names of regions and of coordinates."""

from __future__ import annotations

from ofakit.text.grounding import bin_name, box_bins, region_name


def test_names_are_those_of_the_vocabularies():
    assert region_name(7) == "<vis_extra_id_7>" and bin_name(999) == "<bin_999>"


def test_coordinates_become_steps():
    assert box_bins((0, 0.5, 0.25, 1), 512) == [0, 500, 250, 999]  # halves to the even one, as torch rounds
    assert box_bins((0, 0.5, 0.25, 1), 384) == [0, 375, 187, 749]
    assert box_bins((0, 1, 0, 1), 10, bins=11, last=10) == [0, 10, 0, 10]

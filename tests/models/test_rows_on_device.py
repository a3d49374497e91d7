"""Rows that stay on a device: found by the pixels, each fetched once while there is room."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.models.rows_on_device import RowsOnDevice

IMAGES = torch.randint(0, 256, (6, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


class Fetch:
    """The mean of each colour, and how many images it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, images):
        self.asked.append(len(images))
        return images.float().mean((2, 3))


def means(images):
    return images.float().mean((2, 3))


def test_rows_are_those_that_were_fetched_each_once():
    rows, fetch = RowsOnDevice(10**6, torch.float32), Fetch()
    assert torch.equal(rows(IMAGES[[0, 1, 0]], fetch), means(IMAGES[[0, 1, 0]]))
    assert torch.equal(rows(IMAGES[[2, 0, 2, 1]], fetch), means(IMAGES[[2, 0, 2, 1]]))
    assert fetch.asked == [2, 1] and len(rows) == 3
    assert torch.equal(copy.deepcopy(rows)(IMAGES[:3], fetch), means(IMAGES[:3])) and fetch.asked == [2, 1]


@pytest.mark.parametrize("change", ["one bit", "mirrored", "two pixels changed places", "shape"])
def test_another_image_is_never_taken_for_a_known_one(change):
    rows, fetch = RowsOnDevice(10**6, torch.float32), Fetch()
    rows(IMAGES[:1], fetch)
    other = IMAGES[:1].clone()
    if change == "one bit":
        other[0, 0, 0, 0] ^= 1
    if change == "mirrored":
        other = other.flip(3)
    if change == "two pixels changed places":
        other[0, :, 0, [0, 1]] = other[0, :, 0, [1, 0]]
    if change == "shape":
        other = other.view(1, 3, 4, 16)
    rows(other, fetch)
    assert fetch.asked == [1, 1]


def test_the_layout_of_the_pixels_in_memory_does_not_matter():
    rows, fetch = RowsOnDevice(10**6, torch.float32), Fetch()
    rows(IMAGES, fetch)
    rows(IMAGES.to(memory_format=torch.channels_last), fetch)
    assert fetch.asked == [6]


def test_rows_beyond_the_room_are_fetched_every_time():
    rows, fetch = RowsOnDevice(2 * 3 * 4 + 5, torch.float32), Fetch()
    for _ in range(2):
        assert torch.equal(rows(IMAGES, fetch), means(IMAGES))
    assert fetch.asked == [6, 4] and len(rows) == 2 and rows.taken == 24


def test_rows_are_of_the_type_they_are_kept_in():
    rows = RowsOnDevice(10**6, torch.float16)
    assert torch.equal(rows(IMAGES, Fetch()), means(IMAGES).half())

"""Bytes of images to normalised floats."""

from __future__ import annotations

import torch
from ofakit.models.pixels import MEAN_STD, PixelNorm

IMAGES = torch.randint(0, 256, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_bytes_are_normalised_by_colour():
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in MEAN_STD["imagenet"])
    torch.testing.assert_close(PixelNorm(*MEAN_STD["imagenet"])(IMAGES), (IMAGES / 255 - mean) / std)


def test_half_precision_rounds_once_at_the_end():
    norm = PixelNorm(*MEAN_STD["half"])
    assert torch.equal(norm.bfloat16()(IMAGES), PixelNorm(*MEAN_STD["half"])(IMAGES).bfloat16())


def test_floats_are_taken_as_they_are_and_weights_hold_none_of_it():
    norm = PixelNorm(*MEAN_STD["half"])
    floats = torch.randn(1, 3, 2, 2)
    assert torch.equal(norm(floats), floats)
    assert not norm.state_dict()

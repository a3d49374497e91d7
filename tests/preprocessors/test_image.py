"""Cuts are random in training only; normalised bytes equal torchvision's tensors to the last bit."""

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.ofa.vision import SMALL_IMAGE
from ofakit.preprocessors.image import MEAN_STD, crop_and_flip, normalize
from PIL import Image
from torchvision import transforms

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 10, 3), np.uint8)


def test_centre_cut():
    np.testing.assert_array_equal(crop_and_flip(PIXELS, 6).permute(1, 2, 0), PIXELS[2:8, 2:8])
    np.testing.assert_array_equal(crop_and_flip(PIXELS, 10).permute(1, 2, 0), PIXELS)


def test_random_cuts_reach_every_place_and_repeat_with_their_seed():
    def places(seed):
        rng = np.random.default_rng(seed)
        found = [crop_and_flip(PIXELS, 8, rng).permute(1, 2, 0).numpy() for _ in range(100)]
        windows = {PIXELS[t : t + 8, s : s + 8].tobytes(): (t, s) for t in range(3) for s in range(3)}
        return [windows[cut.tobytes()] for cut in found]

    assert len(set(places(1))) == 9
    assert places(1) == places(1) != places(2)


def test_a_cut_is_mirrored_like_the_whole():
    rng = np.random.default_rng(3)
    places = [PIXELS[top : top + 7, left : left + 7] for top in range(4) for left in range(4)]
    for _ in range(50):
        cut = crop_and_flip(PIXELS, 7, rng, flip=True).permute(1, 2, 0).numpy()
        assert any(np.array_equal(cut, place) or np.array_equal(cut, place[:, ::-1]) for place in places)


def test_flip_mirrors_about_half():
    rng = np.random.default_rng(0)
    cuts = [crop_and_flip(PIXELS, 10, rng, flip=True).permute(1, 2, 0).numpy() for _ in range(200)]
    mirrored = [np.array_equal(cut, PIXELS[:, ::-1]) for cut in cuts]
    assert all(m or np.array_equal(cut, PIXELS) for m, cut in zip(mirrored, cuts, strict=True))
    assert 70 < sum(mirrored) < 130


def test_an_image_smaller_than_the_cut_is_refused():
    with pytest.raises(UsageError, match="cannot crop 11 x 11"):
        crop_and_flip(PIXELS, 11)


@pytest.mark.parametrize("size", [16, 144])
@pytest.mark.parametrize("mean_std", sorted(MEAN_STD))
def test_equals_torchvision(mean_std, size):
    mean, std = MEAN_STD[mean_std]
    pixels = np.random.default_rng(0).permutation(np.resize(np.arange(256, dtype=np.uint8), size * size * 3))
    pixels = pixels.reshape(size, size, 3)
    stock = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])(Image.fromarray(pixels))
    bytes_ = crop_and_flip(pixels, size)[None]
    for layout in (bytes_, bytes_.contiguous()):
        ours = normalize(layout, mean_std)
        assert torch.equal(ours[0], stock)
        wanted = torch.contiguous_format if size <= SMALL_IMAGE else torch.channels_last
        assert ours.is_contiguous(memory_format=wanted)


def test_floats_count_as_normalised():
    images = torch.randn(1, 3, 4, 4)
    assert torch.equal(normalize(images), images)
    assert normalize(images, dtype=torch.bfloat16).dtype is torch.bfloat16


def test_unknown_mean_std():
    with pytest.raises(UsageError, match="did you mean 'imagenet'"):
        normalize(torch.zeros(1, 3, 1, 1, dtype=torch.uint8), "imagnet")


def test_a_few_cuts_are_the_centre_the_corners_and_the_middles_of_the_sides():
    def places(crops):
        rng = np.random.default_rng(0)
        windows = {PIXELS[t : t + 6, s : s + 6].tobytes(): (t, s) for t in range(5) for s in range(5)}
        return {
            windows[crop_and_flip(PIXELS, 6, rng, crops=crops).permute(1, 2, 0).numpy().tobytes()] for _ in range(99)
        }

    assert places(1) == {(2, 2)} and places(5) == {(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)}
    assert places(9) == {(top, left) for top in (0, 2, 4) for left in (0, 2, 4)}

"""A batch goes to the device whole, its images as the numbers that the model takes."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.preprocessors import normalize
from ofakit.preprocessors.batches import move_batch
from ofakit.preprocessors.image import to_device

IMAGES = torch.arange(2 * 3 * 4 * 4).view(2, 3, 4, 4).to(torch.uint8)


@pytest.mark.parametrize("mean_std", ["half", "imagenet"])
def test_images_are_normalised_and_the_rest_stays(mean_std):
    batch = {"patch_images": IMAGES, "input_ids": torch.tensor([[0, 2]]), "ids": ["a", "b"]}
    moved = move_batch(batch, "cpu", mean_std)
    assert torch.equal(moved["patch_images"], normalize(IMAGES, mean_std))
    assert moved["input_ids"] is batch["input_ids"] and moved["ids"] == ["a", "b"]
    assert set(moved) == set(batch) and batch["patch_images"].dtype == torch.uint8


def test_normalised_images_are_moved_and_not_normalised_again():
    once = move_batch({"patch_images": IMAGES}, "cpu")
    assert torch.equal(move_batch(once, "cpu", "imagenet")["patch_images"], once["patch_images"])


def test_a_batch_without_images_stays_without():
    assert set(move_batch({"input_ids": torch.zeros(1, 2)}, "cpu")) == {"input_ids"}


def test_every_tensor_goes_to_the_device():
    moved = move_batch(
        {"patch_images": IMAGES, "input_ids": torch.tensor([1]), "mlm/target": torch.tensor([1])}, "meta"
    )
    assert {value.device.type for value in moved.values()} == {"meta"}


def test_unknown_numbers_are_refused():
    with pytest.raises(UsageError, match="did you mean 'imagenet'"):
        move_batch({"patch_images": IMAGES}, "cpu", "imagnet")


@pytest.mark.parametrize(("device", "waits"), [("cpu", True), ("mps", True), ("cuda:0", False), ("meta", True)])
def test_only_cuda_copies_while_the_cpu_goes_on(device, waits):
    asked = []

    class Pictures:
        def to(self, place, non_blocking):
            asked.append((place, non_blocking))

    to_device(Pictures(), device)
    assert asked == [(device, not waits)]

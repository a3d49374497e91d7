"""What captioning and answering share."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from ofakit.tasks.captioning import Captioning
from ofakit.tasks.vqa import Vqa


@pytest.mark.parametrize("kind", [Captioning, Vqa])
def test_images_are_kept_as_they_are_before_the_cut_and_not_at_all_for_regions(kind):
    task = kind.__new__(kind)
    task.config = SimpleNamespace(preprocessor=SimpleNamespace(stored_size=72))
    sizes = [
        task.image_size(SimpleNamespace(model=SimpleNamespace(reads_regions=regions))) for regions in (False, True)
    ]
    assert sizes == [72, None]


@pytest.mark.parametrize("kind", [Captioning, Vqa])
@pytest.mark.parametrize("mean_std, wanted", [("half", 1.0), (None, 255)])
def test_images_become_floats_unless_the_model_takes_bytes(kind, mean_std, wanted):
    batch = {"patch_images": torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)}
    moved = kind.__new__(kind).move(SimpleNamespace(mean_std=mean_std), batch, torch.device("cpu"))
    assert torch.all(moved["patch_images"] == wanted)

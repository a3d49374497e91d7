"""What an example becomes depends on seed, epoch and position alone."""

import numpy as np
import pytest
import torch
from ofakit.data import BadImage, Example, ExampleDataset, ImageStore, ResumableBatchSampler, load_square
from PIL import Image
from torch.utils.data import DataLoader

SIZE = 12


class Cut:
    """Cuts one column at random, as a stand-in for the preprocessor of the room below."""

    def __call__(self, example, rng, pixels):
        pixels = load_square(example.image, SIZE) if pixels is None else pixels
        return {"column": torch.from_numpy(pixels[:, rng.integers(SIZE)].copy())}


@pytest.fixture
def examples(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(11):
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / f"{k}.png")
    return [Example(str(k), str(tmp_path / f"{k}.png")) for k in range(11)]


def epoch_of(dataset, workers, epoch, method=None, start=0):
    sampler = ResumableBatchSampler(len(dataset), 3, seed=5)
    sampler.set_epoch(epoch, start)
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers, multiprocessing_context=method)
    return [(batch["index"].tolist(), batch["column"].tolist()) for batch in loader]


@pytest.mark.parametrize(("workers", "method"), [(1, "fork"), (2, "fork"), (2, "spawn")])
def test_workers_change_nothing(examples, tmp_path, workers, method):
    dataset = ExampleDataset(examples, Cut(), ImageStore(tmp_path / "store", SIZE), seed=5)
    assert epoch_of(dataset, workers, 1, method) == epoch_of(dataset, 0, 1)


def test_resumed_equals_uninterrupted(examples, tmp_path):
    dataset = ExampleDataset(examples, Cut(), ImageStore(tmp_path / "store", SIZE), seed=5)
    assert epoch_of(dataset, 0, 2, start=2) == epoch_of(dataset, 0, 2)[2:]


def test_epochs_seeds_and_positions_differ(examples):
    def columns(epoch, seed):
        dataset = ExampleDataset(examples, Cut(), seed=seed)
        dataset.set_epoch(epoch)
        return [dataset[k]["column"].tolist() for k in range(len(dataset))]

    assert columns(0, 0) == columns(0, 0)
    assert columns(0, 0) != columns(1, 0)
    assert columns(0, 0) != columns(0, 1)


def test_the_store_changes_no_pixel(examples, tmp_path):
    store = ImageStore(tmp_path / "store", SIZE)
    with_store, without = ExampleDataset(examples, Cut(), store), ExampleDataset(examples, Cut())
    for key in (3, (4, 3)):
        assert torch.equal(with_store[key]["column"], without[key]["column"])
    assert with_store[3]["index"] == 3


def test_images_in_memory_pass_the_store_by(tmp_path):
    store = ImageStore(tmp_path / "store", SIZE)
    assert ExampleDataset([Example("x", Image.new("RGB", (4, 4)))], Cut(), store)[0]["column"].shape == (SIZE, 3)
    assert len(store) == 0


def test_a_bad_image_is_not_hidden(tmp_path):
    dataset = ExampleDataset([Example("x", str(tmp_path / "gone.png"))], Cut(), ImageStore(tmp_path / "store", SIZE))
    with pytest.raises(BadImage, match="no such file"):
        dataset[0]

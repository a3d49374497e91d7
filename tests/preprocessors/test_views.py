"""Objectives add their views to samples, under their own names, and change nothing of what was there."""

from __future__ import annotations

import pickle

import numpy as np
import torch
from ofakit.data import ExampleDataset
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.preprocessors import CaptionPreprocessor, Collate
from ofakit.preprocessors.views import with_views

from tests.objectives.conftest import prepared

VIEWS = ["mlm", "style_mlm", "itm"]


def test_views_stand_in_samples_and_batches_and_leave_the_image_alone(bundle, examples):
    bundle.preprocessor.max_image_size = 40
    plain = CaptionPreprocessor(bundle.tokenizer, bundle.styles, "train", bundle.preprocessor)
    objectives = {name: prepared(name, bundle, examples) for name in VIEWS} | {"cross_entropy": CrossEntropy()}
    with_all = ExampleDataset(examples, with_views(plain, objectives), seed=3)
    with_one = ExampleDataset(examples, with_views(plain, {"itm": objectives["itm"]}), seed=3)
    bare = ExampleDataset(examples, with_views(plain, {"cross_entropy": CrossEntropy()}), seed=3)
    assert bare.preprocessor is plain
    for index in range(4):
        whole, one, none = with_all[2, index], with_one[2, index], bare[2, index]
        assert torch.equal(whole["patch_image"], none["patch_image"])
        assert torch.equal(whole["itm/input_ids"], one["itm/input_ids"])
        assert torch.equal(with_all[2, index]["mlm/input_ids"], whole["mlm/input_ids"])
    batch = Collate(1)([with_all[0, index] for index in range(4)])
    assert batch["mlm/target"].shape == batch["mlm/decoder_input_ids"].shape and batch["itm/answer"].shape == (4,)
    assert any(not torch.equal(with_all[0, i]["mlm/input_ids"], with_all[1, i]["mlm/input_ids"]) for i in range(4))


class Drawn(CrossEntropy):
    """Shows the first numbers it draws."""

    def view(self, example, rng):
        return {"drawn": torch.from_numpy(rng.random(4))}


class Kept:
    """A preprocessor that draws, too."""

    def __call__(self, example, rng, pixels=None):
        return {"own": rng.random(), "pixels": pixels}


def test_each_objective_draws_numbers_of_its_own_whatever_stands_beside_it():
    both = with_views(Kept(), {"one": Drawn(), "other": Drawn()})
    alone = with_views(Kept(), {"other": Drawn(), "plain": CrossEntropy()})
    sample, single = (make("an example", np.random.default_rng(3), "pixels") for make in (both, alone))
    assert set(sample) == {"own", "pixels", "one/drawn", "other/drawn"} and sample["pixels"] == "pixels"
    assert sample["own"] == single["own"] == np.random.default_rng(3).random()
    assert torch.equal(sample["other/drawn"], single["other/drawn"])
    assert not torch.equal(sample["other/drawn"], sample["one/drawn"])
    again = pickle.loads(pickle.dumps(both))("an example", np.random.default_rng(3), "pixels")
    assert torch.equal(again["one/drawn"], sample["one/drawn"])

"""What objectives with a view have in common: chance from one generator, batches that add up, and their loss."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from ofakit.objectives._views import caption_of, view_loss
from ofakit.objectives.cross_entropy import CrossEntropy

from .conftest import batch_with_views, prepared

VIEWS = ["mlm", "style_mlm", "itm", "denoising", "span_corruption"]


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_depends_on_its_generator_alone_and_survives_pickling(bundle, examples, name):
    objective = prepared(name, bundle, examples)
    again = pickle.loads(pickle.dumps(objective))
    seen = set()
    for seed in range(20):
        one = objective.view(examples[0], np.random.default_rng(seed))
        other = again.view(examples[0], np.random.default_rng(seed))
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
        seen.add(tuple(one["input_ids"].tolist()))
    assert len(seen) > 1


@pytest.mark.parametrize("name", VIEWS)
def test_parts_of_a_batch_add_up_to_the_whole_and_padding_does_not_matter(bundle, examples, name):
    bundle.model.eval()
    objective = prepared(name, bundle, examples)
    whole = batch_with_views(bundle, examples, {name: objective})
    count = objective.normalizer(whole)
    loss, _ = objective(bundle.model, whole, count, 0)
    total = 0.0
    for index in range(4):
        alone = {key: value[index : index + 1] for key, value in whole.items()}
        width = {key: (value != 1).sum(1).max() for key, value in alone.items() if value.dim() == 2}
        alone |= {key: alone[key][:, :size] for key, size in width.items()}
        total += objective(bundle.model, alone, count, 0)[0].item()
    assert loss.item() == pytest.approx(total, rel=1e-4) and loss.item() > 0.1


def test_the_caption_is_the_one_to_learn_or_any_of_the_references(examples):
    several = replace(examples[0], references=("one", "two", "three"))
    assert caption_of(several, np.random.default_rng(0)) == examples[0].text
    drawn = [caption_of(replace(several, text=None), np.random.default_rng(seed)) for seed in range(30)]
    assert set(drawn) == {"one", "two", "three"}


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_a_view_that_is_the_caption_itself_is_cross_entropy(bundle, batch, smoothing):
    bundle.model.eval()
    view = {f"own/{name}": batch[name] for name in ("input_ids", "decoder_input_ids", "target")}
    found = view_loss(bundle.model, {**batch, **view}, "own", True, 1, smoothing, 1 / 7)
    loss, logs = CrossEntropy(label_smoothing=smoothing)(bundle.model, batch, 7, 0)
    torch.testing.assert_close(found, (loss, logs["nll"]))
    blind = view_loss(bundle.model, {**batch, **view}, "own", False, 1, smoothing, 1 / 7)[0]
    assert blind.item() != pytest.approx(loss.item())

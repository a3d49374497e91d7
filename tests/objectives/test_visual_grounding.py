"""Regions of texts: the text is the source and the region's name the target, and the loss falls."""

from __future__ import annotations

import numpy as np
import torch

from .conftest import prepared, words_of
from .grounded import batch_of, drawn_pairs, small_bundle


def test_the_text_is_the_source_and_the_region_the_target():
    examples, inputs = drawn_pairs(2)
    bundle = small_bundle(examples, inputs)
    objective = prepared("visual_grounding", bundle, examples)
    for seed in range(4):
        view = objective.view(examples[0], np.random.default_rng(seed))
        source = words_of(bundle, view["input_ids"])
        said = next(said for said in examples[0].region_texts if said.text in source)
        assert source == f"<s>visual grounding: {said.text}</s>"
        assert view["target"].tolist() == [*objective.named(examples[0], said), 2]


def test_the_loss_falls():
    examples, inputs = drawn_pairs(16)
    bundle = small_bundle(examples, inputs)
    objective = prepared("visual_grounding", bundle, examples)
    optimizer = torch.optim.AdamW(bundle.model.parameters(), 3e-3)
    losses = []
    for step in range(25):
        batch = batch_of(objective, examples, inputs, 0)
        loss, logs = objective(bundle.model, batch, objective.normalizer(batch), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0] and set(logs) == {"loss", "nll"}

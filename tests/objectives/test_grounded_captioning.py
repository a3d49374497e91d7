"""Captions of regions: on drawn pairs the loss falls, and the text of the other shape is told from the right one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from .conftest import prepared, words_of
from .grounded import batch_of, drawn_pairs, small_bundle


def test_the_region_is_the_source_and_the_text_the_target():
    examples, inputs = drawn_pairs(2)
    bundle = small_bundle(examples, inputs)
    objective = prepared("grounded_captioning", bundle, examples)
    view = objective.view(examples[0], np.random.default_rng(0))
    source, target = words_of(bundle, view["input_ids"]), words_of(bundle, view["target"])
    spoken = {said.text: objective.named(examples[0], said)[0] for said in examples[0].region_texts}
    text = target.removesuffix("</s>").strip()
    assert source == f"<s>caption region:{bundle.tokenizer.id_to_token(spoken[text])}</s>"


def test_it_learns_which_text_is_of_which_region():
    examples, inputs = drawn_pairs(8)
    bundle = small_bundle(examples, inputs)
    objective = prepared("grounded_captioning", bundle, examples)
    each = [replace(example, region_texts=(said,)) for example in examples for said in example.region_texts]
    batch = batch_of(objective, each, inputs, 0)
    optimizer = torch.optim.AdamW(bundle.model.parameters(), 3e-3)
    before = share_told_apart(bundle, objective, examples, inputs)
    bundle.model.train()
    losses = []
    for step in range(110):
        loss, _ = objective(bundle.model, batch, objective.normalizer(batch), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert share_told_apart(bundle, objective, examples, inputs) >= 0.9 > before


@torch.no_grad()
def share_told_apart(bundle, objective, examples, inputs) -> float:
    """Of all shapes those whose own text is likelier at their region than that of the other shape."""
    bundle.model.eval()
    right = []
    for example in examples:
        for said in example.region_texts:
            region, nll = objective.named(example, said), {}
            for other in example.region_texts:
                asked = objective.asked(region, bundle.codec().caption(other.text))
                batch = {f"{objective.name}/{name}": value[None] for name, value in asked.items()}
                batch |= inputs.collate([inputs.sample([example.image])])
                batch["input_ids"] = asked["input_ids"][None]
                nll[other.text] = objective(bundle.model, batch, 1, 0)[0].item()
            right.append(nll[said.text] == min(nll.values()))
    return sum(right) / len(right)

"""Regions in texts: by name where a model reads them, by bins of their boxes where it reads pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ofakit.data.example import Example
from ofakit.data.region_texts import RegionText
from ofakit.errors import UsageError

from .conftest import batch_with_views, make_bundle, make_examples, prepared, words_of
from .grounded import SIDE, batch_of, drawn_pairs, small_bundle

KINDS = ["grounded_captioning", "visual_grounding"]


@pytest.fixture(scope="module")
def drawn():
    return drawn_pairs(6)


@pytest.fixture
def regional(drawn):
    return small_bundle(*drawn)


def with_boxes():
    said = (RegionText("a red ball", (0.0, 0.25, 0.5, 1.0)),)
    return [replace(example, region_texts=said) for example in make_examples()]


def test_a_region_is_named_by_the_cell_of_its_middle(drawn, regional):
    examples, _ = drawn
    objective = prepared("grounded_captioning", regional, examples)
    for example in examples:
        for said in example.region_texts:
            x1, y1, x2, y2 = said.box
            cell = int((y1 + y2) / 2 * SIDE) * SIDE + int((x1 + x2) / 2 * SIDE)
            assert objective.named(example, said) == [regional.tokenizer.token_to_id(f"<vis_extra_id_{cell}>")]


def test_the_texts_of_an_example_are_drawn_anew(drawn, regional):
    examples, _ = drawn
    objective = prepared("grounded_captioning", regional, examples)
    views = [objective.view(examples[0], np.random.default_rng(seed))["target"].tolist() for seed in range(20)]
    spoken = {regional.tokenizer.decode(ids).strip() for ids in views}
    assert spoken == {said.text for said in examples[0].region_texts}
    assert views == [objective.view(examples[0], np.random.default_rng(seed))["target"].tolist() for seed in range(20)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_without_texts_teaches_nothing(drawn, regional, kind):
    (first, *_), inputs = drawn
    objective = prepared(kind, regional, [first])
    batch = batch_of(objective, [first, replace(first, region_texts=())], inputs, 0)
    alone = batch_of(objective, [first], inputs, 0)
    assert objective.normalizer(batch) == objective.normalizer(alone) > 0
    found = [objective(regional.model, own, objective.normalizer(own), 0)[0].item() for own in (batch, alone)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    nothing = batch_of(objective, [replace(first, region_texts=())], inputs, 0)
    assert objective.normalizer(nothing) == 0
    loss, _ = objective(regional.model, nothing, 0, 0)
    loss.backward()
    assert loss.item() == 0


def test_what_the_model_has_no_region_for_is_passed_over(drawn, regional):
    (first, *_), _ = drawn
    objective = prepared("grounded_captioning", regional, [first])
    lost = RegionText("nowhere", region=99)
    for seed in range(5):
        view = objective.view(replace(first, region_texts=(lost, *first.region_texts)), np.random.default_rng(seed))
        assert "nowhere" not in words_of(regional, view["target"])
    only = objective.view(replace(first, region_texts=(lost,)), np.random.default_rng(0))
    assert set(only["target"].tolist()) == {1}


@pytest.mark.parametrize(
    ("kind", "source", "target"),
    [
        (
            "grounded_captioning",
            "<s>  what does the region describe? region:<bin_0><bin_16><bin_31><bin_62></s>",
            " a red ball</s>",
        ),
        (
            "visual_grounding",
            '<s> which region does the text " a red ball " describe?</s>',
            "<bin_0><bin_16><bin_31><bin_62></s>",
        ),
    ],
)
def test_a_model_of_pixels_is_told_of_boxes_as_ofa_is(kind, source, target):
    """Coordinates of an image of 32 pixels are bins 0 to 62, since 512 pixels are 999."""
    bundle, examples = make_bundle(), with_boxes()
    objective = prepared(kind, bundle, examples)
    view = objective.view(examples[0], np.random.default_rng(0))
    assert words_of(bundle, view["input_ids"]) == source
    assert words_of(bundle, view["target"]) == target
    batch = batch_with_views(bundle, examples, {kind: objective})
    objective(bundle.model, batch, objective.normalizer(batch), 0)[0].backward()
    assert torch.isfinite(bundle.model.output_embedding.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_learnt_is_refused(kind, drawn, regional):
    with pytest.raises(UsageError, match="no training example says anything about a part of its image"):
        prepared(kind, regional, [Example("a", "a.png", references=("a dog",))])
    bundle = make_bundle()
    bundle.preprocessor = bundle.preprocessor.model_copy(update={"horizontal_flip": True})
    with pytest.raises(UsageError, match="random cut or flip"):
        prepared(kind, bundle, with_boxes())
    regional.regions.boxes = False
    try:
        with pytest.raises(UsageError, match="data.regions.boxes"):
            prepared(kind, regional, drawn[0])
    finally:
        regional.regions.boxes = True
    with pytest.raises(UsageError, match="least_overlap over 0"):
        prepared(kind, regional, drawn[0], least_overlap=0.0)

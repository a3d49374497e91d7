"""Captions of an image in the order of how surely a model, which was taught to, says yes to them."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.inference.reranking import Reranker, rerank, reranker_of

from tests.objectives.conftest import CAPTIONS, batch_with_views, prepared


def test_a_taught_model_reranks_by_what_it_was_taught(bundle, examples):
    bundle.model.train()
    objective = prepared("itm", bundle, examples, no_ratio=0.5, personality_ratio=0.0)
    optimizer = torch.optim.AdamW(bundle.model.parameters(), 2e-3)
    dogs = [examples[0], examples[2]]
    for step in range(60):
        batch = batch_with_views(bundle, dogs, {"itm": objective}, seed=step)
        optimizer.zero_grad()
        objective(bundle.model, batch, 2, step)[0].backward()
        optimizer.step()
    bundle.objectives = ("itm",)
    captions = [[CAPTIONS[e.style][1], CAPTIONS[e.style][0]] for e in dogs]
    ranked = rerank(bundle, [e.image for e in dogs], [e.style for e in dogs], captions)
    assert bundle.model.training
    assert [first[0][0] for first in ranked] == [e.text for e in dogs]
    assert all(1 >= found[0][1] > found[1][1] >= 0 for found in ranked)


def test_questions_about_several_images_are_answered_as_each_alone_and_share_the_backbone(bundle, examples, batch):
    bundle.objectives = ("cross_entropy", "itm")
    captions = [["a dog", "a cat smiles at the sea"], [], ["a red dog"], ["a cat", "a dog", "a weary cat stares"]]
    styles, seen = [e.style for e in examples], []
    backbone = bundle.model.encoder.embed_images
    handle = backbone.conv1.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    bundle.model.train()
    together = Reranker(bundle)(bundle.model, batch, styles, captions)
    handle.remove()
    assert seen == [4] and bundle.model.training
    alone = rerank(bundle, [e.image for e in examples], styles, captions)
    for found, texts, ranked in zip(together, captions, alone, strict=True):
        assert dict(zip(texts, found, strict=True)) == pytest.approx(dict(ranked), abs=1e-6)
        assert [p for _, p in ranked] == pytest.approx(sorted(found, reverse=True), abs=1e-6)
    other = Reranker(bundle)(bundle.model, batch, ["gloomy"] * 4, captions)
    assert other[0] != together[0] and other[2] == pytest.approx(together[2], abs=1e-6)


def test_a_model_without_matching_is_not_asked(bundle, caplog):
    bundle.objectives = ("cross_entropy", "scst")
    with pytest.raises(UsageError, match="objective itm.*trained with cross_entropy, scst.*generation.rerank"):
        reranker_of(bundle, "itm")
    with pytest.raises(UsageError, match="did you mean 'itm'"):
        reranker_of(bundle, "imt")
    assert reranker_of(bundle, None) is None and not caplog.records
    bundle.objectives = None
    assert isinstance(reranker_of(bundle, "itm"), Reranker)
    assert "does not record its objectives" in caplog.text


def test_rerank_of_lists_that_do_not_fit_is_refused(bundle):
    with pytest.raises(UsageError, match="found 1, 2 and 1"):
        rerank(bundle, ["a.png"], [None, None], [["a"]])


def test_of_equal_captions_the_earlier_stays_first(bundle, examples):
    bundle.objectives = ("itm",)
    (ranked,) = rerank(bundle, [examples[0].image], ["happy"], [["a dog", "A dog.", "a dog"]])
    assert [text for text, _ in ranked] == ["a dog", "A dog.", "a dog"]


def test_no_captions_are_no_question(bundle, batch):
    bundle.objectives = ("itm",)
    assert Reranker(bundle)(bundle.model, batch, [None] * 4, [[]] * 4) == [[]] * 4

"""T5's span corruption: the spans of words that a caption lacks are asked for, each by its name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.models.vl import VLConfig, VLModel
from ofakit.text.span_corruption import spelled

from .conftest import batch_with_views, make_bundle, make_examples, prepared, words_of

SMALL = {
    "d_model": 32, "d_kv": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "feat_dim": 3, "dropout": 0.0,
}  # fmt: skip
TEXT = "a lovely red dog plays in the sunny garden"


def test_source_and_target_make_up_the_caption(bundle, examples):
    objective = prepared("span_corruption", bundle, examples, ratio=0.5)
    for seed in range(20):
        view = objective.view(examples[0], np.random.default_rng(seed))
        source = words_of(bundle, view["input_ids"]).removeprefix("<s>span prediction:").removesuffix("</s>")
        target = words_of(bundle, view["target"]).removesuffix("</s>")
        for number in range(5):
            _, _, behind = target.partition(f"<extra_id_{number}>")
            source = source.replace(f"<extra_id_{number}>", behind.partition("<")[0])
        assert source == f" {TEXT}" and target.startswith("<extra_id_0>")


def test_a_vocabulary_without_spans_gets_them_and_the_model_their_rows(bundle, examples):
    before = len(bundle.tokenizer)
    objective = prepared("span_corruption", bundle, examples)
    assert len(bundle.tokenizer) == len(bundle.model.output_embedding) == before + 100
    assert objective.needed == list(range(before, before + 100))
    assert prepared("span_corruption", bundle, examples).needed == objective.needed
    assert len(bundle.tokenizer) == before + 100
    batch = batch_with_views(bundle, examples, {"span_corruption": objective})
    objective(bundle.model, batch, objective.normalizer(batch), 0)[0].backward()
    assert bundle.model.output_embedding.grad[before].abs().sum() > 0


def test_the_normalizer_counts_the_tokens_of_the_spans(bundle, examples):
    objective = prepared("span_corruption", bundle, examples)
    batch = batch_with_views(bundle, examples, {"span_corruption": objective})
    targets = [objective.view(e, np.random.default_rng([0, k]))["target"] for k, e in enumerate(examples)]
    assert objective.normalizer(batch) == sum(map(len, targets))


def test_ids_are_those_of_the_spelled_text(bundle, examples):
    objective = prepared("span_corruption", bundle, examples)
    pieces = ["a", "red", 0, "garden", 1]
    assert bundle.tokenizer.decode(objective.ids(pieces, objective.needed)) == " a red<extra_id_0> garden<extra_id_1>"
    assert spelled(pieces) == "a red <extra_id_0> garden <extra_id_1>"


@pytest.mark.parametrize("kind", ["denoising", "span_corruption"])
def test_a_model_of_regions_learns_both(kind):
    """VL-BART and VL-T5 with the same objectives: the loss goes down."""
    bundle, examples = make_bundle(), make_examples()
    torch.manual_seed(0)
    family = {"denoising": "bart", "span_corruption": "t5"}[kind]
    bundle.model = VLModel(VLConfig(model_type=family, vocab_size=len(bundle.tokenizer), **SMALL))
    objective = prepared(kind, bundle, examples)
    views = batch_with_views(bundle, examples, {kind: objective})
    batch = {name: value for name, value in views.items() if not name.startswith("patch")}
    batch |= {"vis_feats": torch.rand(4, 2, 3), "boxes": torch.rand(4, 2, 4)}
    optimizer = torch.optim.AdamW(bundle.model.parameters(), 3e-3)
    losses = []
    for step in range(15):
        optimizer.zero_grad()
        loss = objective(bundle.model, batch, objective.normalizer(batch), step)[0]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]

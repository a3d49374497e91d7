"""Whole-word MLM, style MLM and image-text matching: what they ask, what they answer, and what they cost."""

from __future__ import annotations

import math
import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from ofakit.data import ExampleDataset
from ofakit.errors import UsageError
from ofakit.inference.matching import ANSWERS, NO, PERSONALITY, YES, answer_tokens
from ofakit.inference.reranking import Reranker, rerank, reranker_of
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.preprocessors import CaptionPreprocessor, Collate
from ofakit.preprocessors.views import with_views
from ofakit.trainers.update import WeightedObjectives

from .conftest import CAPTIONS, make_batch

VIEWS = ["mlm", "style_mlm", "itm"]


def prepared(name, bundle, examples, **arguments):
    objective = OBJECTIVES.build({"type": name, **arguments})
    objective.prepare(examples, bundle, None)
    return objective


def batch_with_views(bundle, examples, objectives, seed=0):
    def views(example, index):
        found = {}
        for name, objective in objectives.items():
            view = objective.view(example, np.random.default_rng([seed, index]))
            found |= {f"{name}/{key}": value for key, value in view.items()}
        return found

    return make_batch(bundle, examples, views)


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


def words_of(bundle, ids):
    return bundle.tokenizer.decode(ids.tolist(), skip_special_tokens=False)


def test_mlm_asks_for_the_whole_text_with_the_holes_between_the_quotes(bundle, examples):
    objective = prepared("mlm", bundle, examples, ratio=0.5)
    view = objective.view(examples[0], np.random.default_rng(1))
    source = words_of(bundle, view["input_ids"])
    assert source.startswith('<s> what is the complete text of "') and source.endswith(' "?</s>')
    assert "<mask>" in source and "lovely red dog plays in the sunny" not in source
    assert words_of(bundle, view["target"]) == " a lovely red dog plays in the sunny garden</s>"
    assert view["decoder_input_ids"].tolist() == [0, *view["target"].tolist()[:-1]]
    untouched = prepared("mlm", bundle, examples, ratio=0.0).view(examples[0], np.random.default_rng(1))
    assert words_of(bundle, untouched["input_ids"]) == (
        '<s> what is the complete text of " a lovely red dog plays in the sunny garden "?</s>'
    )


def test_mlm_sees_no_image_which_equals_a_missing_one(bundle, examples):
    bundle.model.eval()
    objective = prepared("mlm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"mlm": objective})
    loss, _ = objective(bundle.model, batch, 10.0, 0)
    zeros, nobody = torch.zeros_like(batch["patch_images"]), torch.zeros(4, dtype=torch.bool)
    encoded = bundle.model.encode(batch["mlm/input_ids"], zeros, nobody)
    hidden = bundle.model.decode(batch["mlm/decoder_input_ids"], encoded)
    logits, target = hidden @ bundle.model.output_embedding.t(), batch["mlm/target"]
    expected = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), target.flatten(), ignore_index=1, reduction="sum"
    )
    assert loss.item() == pytest.approx(expected.item() / 10, rel=1e-5)


def test_mlm_takes_plain_text(bundle, examples):
    objective = prepared("mlm", bundle, examples)
    text = replace(examples[0], image=None, style=None)
    batch = batch_with_views(bundle, [text], {"mlm": objective})
    assert not batch["patch_masks"].any()
    objective(bundle.model, batch, 1.0, 0)[0].backward()
    assert bundle.model.output_embedding.grad.abs().sum() > 0


def test_style_mlm_masks_style_bearing_words_first_and_exactly_the_budget(bundle, examples):
    objective = prepared("style_mlm", bundle, examples * 5, ratio=0.34, min_score=0.1)
    bearing = {"lovely", "plays", "sunny"}
    assert bearing <= set(objective.scores["happy"]) and not bearing & set(objective.scores["gloomy"])
    for seed in range(8):
        view = objective.view(examples[0], np.random.default_rng(seed))
        source = words_of(bundle, view["input_ids"])
        assert source.count("<mask>") == math.ceil(9 * 0.34) == 4
        assert not bearing & set(source.replace('"', " ").split()) and "personality<code_0>" in source.replace(" ", "")
        assert words_of(bundle, view["target"]) == " a lovely red dog plays in the sunny garden</s>"
    other = words_of(
        bundle, objective.view(replace(examples[0], style="gloomy"), np.random.default_rng(0))["input_ids"]
    )
    assert bearing & set(other.split()) and "<code_1>" in other


def test_style_mlm_looks_at_the_image(bundle, examples):
    bundle.model.eval()
    objective = prepared("style_mlm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"style_mlm": objective})
    one = objective(bundle.model, batch, 1.0, 0)[0]
    other = objective(bundle.model, {**batch, "patch_images": -batch["patch_images"]}, 1.0, 0)[0]
    assert one.item() != other.item()


def test_matching_answers_have_their_shares_and_are_true(bundle, examples):
    objective = prepared("itm", bundle, examples)
    answers = Counter()
    for seed in range(1200):
        example = examples[seed % 4]
        view = objective.view(example, np.random.default_rng(seed))
        source = words_of(bundle, view["input_ids"])
        own_style = f"<code_{bundle.styles.index(example.style)}>" in source
        own_text = example.text in source
        answer = view["answer"].item()
        answers[answer] += 1
        assert (own_text, own_style) == {YES: (True, True), NO: (False, True), PERSONALITY: (True, False)}[answer]
        if answer == NO:
            assert any(text in source for text in CAPTIONS[example.style])
    for answer, share in ((YES, 0.5), (NO, 0.25), (PERSONALITY, 0.25)):
        assert abs(answers[answer] / 1200 - share) < 4 * math.sqrt(share * (1 - share) / 1200)


def test_matching_without_other_styles_asks_only_yes_and_no(bundle, examples):
    happy = [example for example in examples if example.style == "happy"]
    objective = prepared("itm", bundle, happy)
    found = Counter(objective.view(happy[0], np.random.default_rng(s))["answer"].item() for s in range(300))
    assert set(found) == {YES, NO} and abs(found[YES] / 300 - 0.5) < 0.12


def test_matching_loss_looks_only_at_the_three_answers(bundle, examples):
    bundle.model.eval()
    objective = prepared("itm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"itm": objective})
    loss, logs = objective(bundle.model, batch, 4, 0)
    encoded = bundle.model.encode(batch["itm/input_ids"], batch["patch_images"], batch["patch_masks"])
    prefix, tokens = answer_tokens(bundle.tokenizer)
    assert [bundle.tokenizer.encode(answer)[len(prefix)] for answer in ANSWERS] == tokens
    hidden = bundle.model.decode(torch.tensor([[0, *prefix]] * 4), encoded)[:, -1]
    log_p = (hidden @ bundle.model.output_embedding.t())[:, tokens].log_softmax(-1)
    assert loss.item() == pytest.approx(-log_p[torch.arange(4), batch["itm/answer"]].mean().item(), rel=1e-5)
    assert 0 <= logs["accuracy"].item() <= 1


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
    assert "does not say what it was trained with" in caplog.text


def test_rerank_of_lists_that_do_not_fit_is_refused(bundle):
    with pytest.raises(UsageError, match="found 1, 2 and 1"):
        rerank(bundle, ["a.png"], [None, None], [["a"]])


@pytest.mark.parametrize(
    "spec, words",
    [
        ({"type": "itm", "no_ratio": 0.9, "personality_ratio": 0.2}, "at most 1"),
        ({"type": "mlm", "ratio": 1.5}, "ratio in"),
        ({"type": "mlm", "label_smoothing": 1.0}, "label_smoothing"),
        ({"type": "style_mlm", "replace_length": 0}, "replace_length"),
    ],
)
def test_numbers_out_of_range_are_refused(spec, words):
    with pytest.raises(UsageError, match=words):
        OBJECTIVES.build(spec)


def test_style_mlm_of_one_style_is_refused(bundle, examples):
    with pytest.raises(UsageError, match="two styles"):
        prepared("style_mlm", bundle, examples[:2])


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


def test_mixed_objectives_add_up_and_share_the_encoder_where_inputs_are_the_same(bundle, examples):
    bundle.model.eval()
    mlm = prepared("mlm", bundle, examples)
    batch = batch_with_views(bundle, examples, {"mlm": mlm})
    twice = {"one": CrossEntropy(), "two": CrossEntropy(label_smoothing=0.0), "mlm": mlm}
    module = WeightedObjectives(bundle.model, twice, [1.0, 0.5, 2.0], "fp32")
    runs = []
    handle = bundle.model.encoder.register_forward_pre_hook(lambda *_: runs.append(1))
    total, logs = module(batch, [7.0, 7.0, 5.0], 0)
    handle.remove()
    assert len(runs) == 2
    parts = [objective(bundle.model, batch, n, 0)[0] for objective, n in zip(twice.values(), (7, 7, 5), strict=True)]
    assert total.item() == pytest.approx((parts[0] + 0.5 * parts[1] + 2 * parts[2]).item(), rel=1e-5)
    assert {"one/loss", "two/loss", "mlm/loss", "mlm/nll"} <= set(logs)
    total.backward()
    shared = bundle.model.encoder.layers[0].fc1.weight.grad.clone()
    bundle.model.zero_grad()
    sum(
        w * o(bundle.model, batch, n, 0)[0] for o, w, n in zip(twice.values(), (1, 0.5, 2), (7, 7, 5), strict=True)
    ).backward()
    torch.testing.assert_close(shared, bundle.model.encoder.layers[0].fc1.weight.grad, atol=1e-6, rtol=1e-4)

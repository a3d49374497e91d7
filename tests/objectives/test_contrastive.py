"""DPR, CLIP and InfoNCE: values and gradients of sentence-transformers, and what counts as an answer."""

from __future__ import annotations

import math

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.contrastive import Contrastive, clip_loss, dpr_loss, info_nce_loss
from torch.nn import functional as F

from tests.objectives.golden_losses import golden, inputs, joined, same_as
from tests.objectives.small_retriever import SmallRetriever, micro_batches, prepared, whole_batch
from tests.two_processes import ONE, plain_updater, update_gradients

ALL_WAYS = ("query_to_passage", "passage_to_query", "query_to_query", "passage_to_passage")


def test_dpr_is_that_of_sentence_transformers(shared):
    found, wanted = inputs(shared), golden(shared)["losses"]
    passages = torch.cat([found[name] for name in ("positives", "negatives1", "negatives2")])
    loss = dpr_loss(found["queries"], passages, torch.arange(6))
    assert loss.item() == pytest.approx(wanted["check_dpr"], rel=1e-6)
    same_as(loss, found["queries"], wanted["mnrl_dot_scale1_two_hard_negatives (= DPR)"])


def test_clip_is_that_of_sentence_transformers(shared):
    found, wanted = inputs(shared), golden(shared)["losses"]
    loss = clip_loss(found["queries"], found["positives"], torch.tensor(math.log(20)))
    assert loss.item() == pytest.approx(wanted["check_clip"], rel=1e-6)
    same_as(loss, found["queries"], wanted["mnrl_symmetric_per_direction (= CLIP at exp(t)=20)"])


INFO_NCE = {
    "mnrl_cos_scale20_pairs": (0, {}),
    "mnrl_cos_scale20_two_hard_negatives": (2, {}),
    "mnrl_gte_joint": (0, {"directions": ALL_WAYS}),
    "mnrl_hard_negatives_hardness5": (1, {"hardness": 5.0}),
    "mnrl_symmetric_per_direction (= CLIP at exp(t)=20)": (
        0,
        {"directions": ALL_WAYS[:2], "partition": "per_direction"},
    ),
}


@pytest.mark.parametrize("name", INFO_NCE)
@pytest.mark.parametrize("through", ["function", "objective"])
def test_info_nce_is_that_of_sentence_transformers(name, through, shared):
    found, (count, options) = inputs(shared), INFO_NCE[name]
    hard = [found[f"negatives{number}"] for number in (1, 2)][:count]
    if through == "function":
        negatives = torch.stack(hard, 1) if hard else None
        loss = info_nce_loss(found["queries"], found["positives"], negatives, **options)
    else:
        loss, _ = Contrastive("infonce", **options).loss(joined(found, [found["positives"], *hard]))
    same_as(loss, found["queries"], golden(shared)["losses"][name])


def test_the_objectives_of_dpr_and_clip_are_their_functions(shared):
    found, wanted = inputs(shared), golden(shared)["losses"]
    loss, logs = Contrastive("dpr").loss(joined(found, [found["positives"], found["negatives1"], found["negatives2"]]))
    same_as(loss, found["queries"], wanted["mnrl_dot_scale1_two_hard_negatives (= DPR)"])
    scores = found["queries"] @ torch.cat([found["positives"], found["negatives1"], found["negatives2"]]).t()
    assert logs["accuracy"] == (int((scores.argmax(1) == torch.arange(6)).sum()), 6) and logs["answered"] == 1
    found = inputs(shared)
    rows = joined(found, [found["positives"]]) | {"logit_scale": torch.tensor([math.log(20)] * 3)}
    loss, logs = Contrastive("clip").loss(rows)
    assert logs["temperature"].item() == pytest.approx(1 / 20)
    same_as(loss, found["queries"], wanted["mnrl_symmetric_per_direction (= CLIP at exp(t)=20)"])


class TinyBERT(torch.nn.Module):
    """The mean of a BERT's last states, for both sides."""

    def __init__(self, folder):
        super().__init__()
        from transformers import BertModel

        self.bert = BertModel.from_pretrained(folder).eval()

    @property
    def device(self):
        return self.bert.device

    def for_task(self, name):
        return self

    def with_frozen_features(self, batch):
        return batch

    def embed(self, side, inputs, modalities):
        there = inputs["attention_mask"][..., None]
        return (self.bert(**inputs).last_hidden_state * there).sum(1) / there.sum(1)


@pytest.mark.parametrize("counts", [[5], [2, 2, 1]])
def test_gradient_cache_is_that_of_sentence_transformers(counts, shared):
    from transformers import AutoTokenizer

    folder, wanted = shared / "golden/retrieval/tiny_bert/bert", golden(shared)
    model, tokenizer = TinyBERT(folder), AutoTokenizer.from_pretrained(folder)

    def batch(start, stop):
        def texts(shift):
            rows = wanted["texts"][start + shift : stop + shift]
            return dict(tokenizer(rows, padding=True, return_tensors="pt"))

        rows = torch.arange(start, stop)
        numbers = {"query_index": rows, "passage_index": rows, "owner": rows, "positive": rows >= 0}
        return {"query": texts(0), "passage": texts(3), **numbers}

    ends = torch.tensor([0, *counts]).cumsum(0).tolist()
    batches = [batch(start, stop) for start, stop in zip(ends, ends[1:], strict=False)]
    loss = Contrastive("infonce")(model, batch(0, 5), 1, 0)[0].item()
    assert loss == pytest.approx(wanted["gradcache"]["loss_plain"], abs=1e-5)
    gradients = update_gradients(plain_updater(model, {"dense": Contrastive("infonce")}, [1.0], ONE), batches, 0)
    norm = torch.cat([gradient.flatten() for gradient in gradients.values()]).norm().item()
    assert norm == pytest.approx(wanted["gradcache"]["gradient_norm"], rel=1e-5)


class TestDPR:
    def test_rows_without_a_label_do_not_count(self):
        generator = torch.Generator().manual_seed(0)
        queries, passages = (torch.randn(count, 4, generator=generator) for count in (5, 8))
        labels = torch.tensor([3, -100, 0, -100, 7])
        kept = labels != -100
        wanted = F.cross_entropy(queries[kept] @ passages.t(), labels[kept])
        assert dpr_loss(queries, passages, labels).item() == pytest.approx(wanted.item())

    @pytest.mark.parametrize("rows", [0, 3])
    def test_a_batch_without_any_label_is_0(self, rows):
        queries = torch.randn(rows, 4, requires_grad=True)
        passages = torch.randn(6, 4, requires_grad=True)
        loss = dpr_loss(queries, passages, torch.full((rows,), -100))
        loss.backward()
        assert loss.item() == 0 and not queries.grad.any() and not passages.grad.any()

    @pytest.mark.parametrize(
        ("passages", "labels", "message"),
        [
            (torch.zeros(2, 4), torch.tensor([0, 2]), r"labels from 0 to 1, or -100, found \[0, 2\]"),
            (torch.zeros(2, 4), torch.tensor([0, -1]), "labels from 0 to 1"),
            (torch.zeros(2, 4), torch.tensor([0]), "a label for each of 2 questions"),
            (torch.zeros(2, 3), torch.tensor([0, 1]), r"found \[2, 4\] and \[2, 3\]"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, passages, labels, message):
        with pytest.raises(UsageError, match=message):
            dpr_loss(torch.zeros(2, 4), passages, labels)


class TestCLIP:
    def test_lengths_do_not_matter_and_the_scale_is_capped(self):
        images, texts = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1)).unbind()
        wanted = clip_loss(images, texts, 1.0)
        assert clip_loss(7 * images, texts * torch.rand(5, 1).add(0.1), 1.0).item() == pytest.approx(wanted.item())
        assert clip_loss(images, texts, 9.0) == clip_loss(images, texts, math.log(100)) != clip_loss(images, texts, 4.5)

    def test_it_is_symmetric_and_learns_its_scale(self):
        images, texts = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1)).unbind()
        scale = torch.tensor(1.0, requires_grad=True)
        loss = clip_loss(images, texts, scale)
        loss.backward()
        assert loss.item() == pytest.approx(clip_loss(texts, images, 1.0).item()) and scale.grad != 0

    def test_nothing_is_0_and_other_shapes_are_refused(self):
        assert clip_loss(torch.zeros(0, 4), torch.zeros(0, 4), 1.0).item() == 0
        with pytest.raises(UsageError, match="a text for each image"):
            clip_loss(torch.zeros(3, 4), torch.zeros(2, 4), 1.0)


class TestInfoNCE:
    def test_nothing_is_0(self):
        assert info_nce_loss(torch.zeros(0, 4), torch.zeros(0, 4)).item() == 0

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(UsageError, match=r"found \[3, 4\], \[3, 4\] and \[3, 4\]"):
            info_nce_loss(torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 4))
        with pytest.raises(UsageError, match="temperature above 0, found 0"):
            info_nce_loss(torch.zeros(3, 4), torch.zeros(3, 4), temperature=0)


class TestTemperature:
    def test_it_starts_where_the_configuration_says_unless_resumed(self):
        model = SmallRetriever()
        prepared(Contrastive("clip"), model)
        assert model.logit_scale.item() == 1.5
        prepared(Contrastive("clip", temperature=0.07), model)
        assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
        Contrastive("clip", temperature=0.5).begin(type("Bundle", (), {"model": model}), None, resumed=True)
        assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))

    def test_a_learnt_one_that_grew_too_large_is_set_back_and_learns_on(self):
        model = SmallRetriever()
        objective = prepared(Contrastive("clip"), model)
        with torch.no_grad():
            model.logit_scale.fill_(9.0)
        gradients = update_gradients(
            plain_updater(model, {"clip": objective}, [1.0], ONE), micro_batches(whole_batch(), [6, 6]), 0
        )
        moved = model.logit_scale + 1e-3 * gradients["logit_scale"]  # before the step of SGD
        assert moved.item() == pytest.approx(math.log(100)) and gradients["logit_scale"] > 1

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"temperature": 0.0}, "temperature above 0, found 0.0"),
            ({"temperature": float("nan")}, "temperature.*found nan"),
            ({"loss": "clip", "learn_temperature": False}, "clip needs a temperature unless it is learnt"),
            ({"loss": "triplet"}, "expected .*'dpr'.*found 'triplet'"),
            ({"query": "text"}, "expected .*found 'text'"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options, message):
        with pytest.raises(UsageError, match=message):
            OBJECTIVES.build({"type": "contrastive", **options})

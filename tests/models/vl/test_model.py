"""VL-T5 and VL-BART against the numbers of the original code."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models import packed_linear
from ofakit.models.generation import generate, score_sequences
from ofakit.models.vl import VLModel
from ofakit.models.vl.stock_names import own_names
from torch.nn import functional as F

from tests.models.vl.golden import Case, cases
from tests.models.vl.small import inputs, tiny

CLOSE = {"atol": 3e-5, "rtol": 0}


@pytest.mark.parametrize("name", cases())
def test_outputs_are_those_of_the_original(name):
    case = Case(name)
    model = case.model()
    with torch.no_grad():
        found = model(**case.batch(), output_hidden_states=True)
        encoded = model.encode(**{k: v for k, v in case.batch().items() if k != "labels"})
    torch.testing.assert_close(found.logits, case.outputs["eval_logits"], **CLOSE)
    torch.testing.assert_close(found.encoder_last_hidden_state, case.outputs["encoder_last_hidden_state"], **CLOSE)
    torch.testing.assert_close(encoded.last_hidden_state, case.outputs["encoder_last_hidden_state"], **CLOSE)
    torch.testing.assert_close(found.decoder_last_hidden_state, case.outputs["decoder_last_hidden_state"], **CLOSE)
    layers = [key for key in case.outputs if key.startswith("encoder_layer.")]
    for index in range(len(layers)):
        wanted = case.outputs[f"encoder_layer.{index}"]
        torch.testing.assert_close(found.encoder_hidden_states[index + 1], wanted, **CLOSE)
    assert found.loss.item() == pytest.approx(case.expected["losses"]["eval_mean_over_tokens"], abs=3e-5)


@pytest.mark.parametrize("name", cases())
def test_visual_embedding_is_that_of_the_original(name):
    case = Case(name)
    embedding = case.model().encoder.visual_embedding
    with torch.no_grad():
        feats, boxes, *_ = embedding.pooled(case.inputs["vis_feats"], case.inputs["boxes"], None, None, None)
        found = embedding(feats, boxes)
    torch.testing.assert_close(found, case.outputs["visual_embedding"], **CLOSE)


@pytest.mark.parametrize("name", cases())
def test_other_tasks_masks_and_two_images(name):
    case = Case(name)
    model, batch = case.model(), case.batch()
    with torch.no_grad():
        if "eval_logits_caption" in case.outputs:
            found = model(**case.batch("caption")).logits
            torch.testing.assert_close(found, case.outputs["eval_logits_caption"], **CLOSE)
        if "eval_logits_masked_regions" in case.outputs:
            found = model(**batch, vis_attention_mask=case.inputs["vis_attention_mask"]).logits
            torch.testing.assert_close(found, case.outputs["eval_logits_masked_regions"], **CLOSE)
        for key in ("vis_feats", "boxes"):
            batch[key] = torch.cat([batch[key], batch[key].flip(0)], 1)
        found = model(**batch, **{key: case.inputs[key] for key in ("img_order_ids", "obj_order_ids")}).logits
    torch.testing.assert_close(found, case.outputs["eval_logits_two_images"], **CLOSE)


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("search", ["greedy", "beam3", "beam5_penalties"])
def test_generation_is_that_of_transformers(name, search):
    case = Case(name)
    model, wanted = case.model(), case.expected["generation"][search]
    settings = {"no_repeat_ngram_size": 0, "min_length": 0, **wanted["args"]}
    found = [hypotheses[0] for hypotheses in generate(model, case.batch(), **settings)]
    start, pad, eos = model.special_tokens
    for hypothesis, row in zip(found, wanted["tokens"], strict=True):
        assert row[0] == start
        assert hypothesis.tokens == _ended(row[1:], eos)
    if "scores" in wanted:
        assert [hypothesis.score for hypothesis in found] == pytest.approx(wanted["scores"], abs=3e-5)


def _ended(row: list[int], eos: int) -> list[int]:
    """The tokens up to the first eos; nothing but padding follows it."""
    return row[: row.index(eos) + 1] if eos in row else row


def train_step_loss(model, case, task):
    """The loss of the original trainers: by example and weighted for questions, of all tokens for captions."""
    batch = case.batch(task if case.task else None)
    labels = batch["labels"]
    logits = model(**batch).logits
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none", ignore_index=-100)
    losses, there = losses.view(labels.shape), labels != -100
    if task == "caption":
        return losses.sum() / there.sum()
    return (losses.sum(1) / there.sum(1).clamp(min=1) * case.inputs["scores"]).mean()


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("task", ["vqa", "caption"])
def test_losses_gradients_and_what_learns(name, task):
    case = Case(name)
    model = case.model().train()
    own = own_names(case.weights, model.state_dict(), model.config)
    parameters = dict(model.named_parameters())
    wanted = {own[key] for key in case.expected["trainable"]}
    if model.config.adapter is not None:
        assert {key for key, value in parameters.items() if value.requires_grad} == wanted
        sizes = {name: sum(p.numel() for p in parameters.values() if p.requires_grad or name == "all") for name in
                 ("trainable", "all")}  # fmt: skip
        assert sizes == case.expected["parameters"]
    for setting in ("trainable", "all"):
        if setting == "all":
            model.requires_grad_(True)
        model.zero_grad()
        loss = train_step_loss(model, case, task)
        loss.backward()
        assert loss.item() == pytest.approx(case.expected["losses"][f"train_step_{task}"], abs=3e-5)
        norms = {own[key]: value for key, value in case.expected["grad_norms"][f"{task}_{setting}"].items()}
        for key, value in norms.items():
            found = 0.0 if parameters[key].grad is None else parameters[key].grad.norm().item()
            assert found == pytest.approx(value, rel=3e-4, abs=3e-7), key
        beyond = {k for k, p in parameters.items() if p.grad is not None and p.grad.any()} - norms.keys()
        assert not beyond


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_steps_give_what_whole_sequences_give(family):
    model, batch = tiny(family), inputs()
    ids = torch.randint(10, 90, (3, 7))
    with torch.no_grad():
        encoded = model.encode(**batch)
        whole = model.decode(ids, encoded)
        steps = model.start(encoded, 1, 7)
        found = torch.stack([steps.step(ids[:, at]) for at in range(7)], 1)
    torch.testing.assert_close(found, whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_padding_changes_nothing(family):
    model, batch = tiny(family), inputs()
    padded = {**batch, "input_ids": F.pad(batch["input_ids"], (0, 3), value=model.config.pad_token_id)}
    padded["vis_feats"] = F.pad(batch["vis_feats"], (0, 0, 0, 2), value=7.0)
    padded["boxes"] = F.pad(batch["boxes"], (0, 0, 0, 2))
    padded["vis_attention_mask"] = F.pad(torch.ones(3, 5, dtype=torch.bool), (0, 2))
    with torch.no_grad():
        labels = torch.randint(10, 90, (3, 4))
        torch.testing.assert_close(
            model(**padded, labels=labels).logits, model(**batch, labels=labels).logits, atol=2e-5, rtol=1e-5
        )


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_scores_of_sequences_are_those_of_the_search(family):
    model, batch = tiny(family), inputs()
    best = [found[0] for found in generate(model, batch, num_beams=3, max_length=8, min_length=4)]
    sums = score_sequences(model, batch, [found.tokens for found in best]).sum(1)
    ended = [model.special_tokens.eos == found.tokens[-1] for found in best]
    assert all(len(found.tokens) <= 7 for found in best)
    for found, total, end in zip(best, sums, ended, strict=True):
        forced = end and len(found.tokens) == 7 and family == "bart"
        if not forced:
            assert found.score == pytest.approx(total.item() / (len(found.tokens) + (not end)), abs=1e-4)


def test_allowed_tokens_of_a_family_that_starts_with_eos():
    model = tiny("bart")
    found = generate(model, inputs(), num_beams=2, max_length=6, allowed_tokens=[20, 21, 22])
    assert all(set(row[0].tokens) <= {20, 21, 22, 2} for row in found)


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_directory_of_ours_gives_the_same_model(family, tmp_path):
    model = tiny(family)
    model.save_pretrained(tmp_path)
    again = VLModel.from_pretrained(tmp_path)
    batch = {**inputs(), "labels": torch.randint(10, 90, (3, 4))}
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)
    assert again.config.to_dict() == model.config.to_dict()


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_vocabulary_grows_and_shrinks(family):
    model, batch = tiny(family, use_vis_order_embedding=False), inputs()
    labels = torch.randint(10, 90, (3, 4))
    with torch.no_grad():
        before = model(**batch, labels=labels).logits
        model.resize_token_embeddings(320)
        torch.testing.assert_close(model(**batch, labels=labels).logits[..., :300], before)
        model.resize_token_embeddings(300)
        torch.testing.assert_close(model(**batch, labels=labels).logits, before)


@pytest.mark.parametrize("kind", ["bart", "biased bart", "t5", "gated"])
def test_weights_of_hugging_face(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    if kind.endswith("bart"):
        sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
        config = transformers.BartConfig(vocab_size=90, encoder_attention_heads=4, decoder_attention_heads=4, **sizes)
        theirs = transformers.BartForConditionalGeneration(config)
        theirs.final_logits_bias.normal_(std=2.0 if kind == "biased bart" else 0.0)
    else:
        gated = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if kind == "gated" else {}
        config = transformers.T5Config(vocab_size=90, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
                                       decoder_start_token_id=0, **gated)  # fmt: skip
        theirs = transformers.T5ForConditionalGeneration(config)
    theirs.eval().save_pretrained(tmp_path)
    ours = VLModel.from_pretrained(tmp_path)
    ids, labels = torch.randint(5, 90, (2, 7)), torch.randint(5, 90, (2, 4))
    with torch.no_grad():
        wanted = theirs(input_ids=ids, labels=labels)
        found = ours(input_ids=ids, labels=labels)
    torch.testing.assert_close(found.logits, wanted.logits, **CLOSE)
    torch.testing.assert_close(found.loss, wanted.loss, **CLOSE)
    assert (ours.output_bias is not None) == (kind == "biased bart")
    settings = {"num_beams": 3, "max_length": 9, "length_penalty": 0.7}
    made = theirs.generate(input_ids=ids, do_sample=False, early_stopping=True, **settings)
    best = generate(ours, {"input_ids": ids}, early_stopping=True, no_repeat_ngram_size=0, min_length=0, **settings)
    eos = ours.special_tokens.eos
    assert [row[0].tokens for row in best] == [_ended(row[1:], eos) for row in made.tolist()]
    ours.save_pretrained(tmp_path / "again")
    again = VLModel.from_pretrained(tmp_path / "again")
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids, labels=labels).logits, found.logits)


def test_whether_there_is_a_bias_of_logits_is_asked_again_when_it_has_changed():
    model = tiny()
    assert model.output_bias is None
    model.final_logits_bias[0, 3] = 2.0
    assert model.output_bias[3] == 2 and copy.deepcopy(model).output_bias[3] == 2
    model.load_state_dict(tiny().state_dict())
    assert model.output_bias is None
    model.final_logits_bias = torch.ones(1, 300)
    assert torch.equal(model.output_bias, torch.ones(300))
    model.resize_token_embeddings(310)
    assert model.output_bias.tolist() == [1.0] * 300 + [0.0] * 10
    assert torch.equal(model.prepare_for_inference().output_bias, model.output_bias)
    assert tiny("t5").output_bias is None


def test_names_of_data_parallel_training_and_of_the_first_release():
    model = tiny("t5")
    old = {f"module.{key.replace('encoder.', 'vis_encoder.', 1)}" if key.startswith("encoder.") else f"module.{key}":
           value for key, value in model.stock_state_dict().items()}  # fmt: skip
    assert model.load_stock_state_dict(old) == ([], [])


def test_bad_input_is_refused():
    model = tiny()
    with pytest.raises(UsageError, match="feat_dim"):
        model.encode(inputs()["input_ids"], torch.rand(3, 5, 9))
    with pytest.raises(UsageError, match="too long"):
        model.encode(torch.full((1, 1025), 5))
    with pytest.raises(UsageError, match="labels or decoder_input_ids"):
        model(**inputs())
    weights = {**model.stock_state_dict(), "model.encoder.layers.0.fc1.bias": torch.zeros(3)}
    with pytest.raises(UsageError, match="does not fit"):
        model.load_stock_state_dict(weights)


def test_parts_can_be_frozen():
    model = tiny()
    model.freeze(["language_model"])
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning and all(name.startswith("encoder.visual_embedding") for name in learning)


@pytest.mark.parametrize("kind", ["bart", "t5"])
@pytest.mark.parametrize(("precision", "apart"), [("fp32", 1e-5), ("bf16", 0.05), ("fp16", 0.01)])
def test_a_copy_for_inference_reads_regions_in_its_own_precision(kind, precision, apart):
    model, batch = tiny(kind), inputs()
    fast = model.prepare_for_inference(precision)
    with torch.no_grad():
        wanted, found = (one.encode(**batch).last_hidden_state.float() for one in (model.eval(), fast))
    assert (wanted - found).norm() < apart * wanted.norm()
    assert len(generate(fast, batch, num_beams=2, max_length=8)) == len(batch["input_ids"])


@pytest.mark.parametrize("kind", ["bart", "t5"])
def test_a_copy_for_inference_writes_the_same(kind, monkeypatch):
    monkeypatch.setattr(packed_linear, "SMALL_FP32", 0)
    model, batch = tiny(kind), inputs()
    if kind == "bart":
        model.final_logits_bias.normal_(std=0.5)
    fast = model.prepare_for_inference()
    settings = {"num_beams": 3, "max_length": 9, "num_return_sequences": 3}
    wanted, found = generate(model, batch, **settings), generate(fast, batch, **settings)
    assert [[h.tokens for h in one] for one in found] == [[h.tokens for h in one] for one in wanted]
    assert fast.project is not None and model.project is None
    assert all(parameter.requires_grad for parameter in model.parameters())

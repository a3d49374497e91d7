"""The projected loss and its gradient in a weight that look-ups share."""

from __future__ import annotations

import pytest
import torch
from ofakit.inference.matching import Answers, answer_logits
from ofakit.objectives._policy import policy_loss, sequence_log_probs
from ofakit.objectives._views import view_loss
from ofakit.objectives.cross_entropy import CrossEntropy, label_smoothed_cross_entropy, r_drop_loss, token_losses
from ofakit.objectives.soft_answer import SoftAnswer
from ofakit.objectives.token_distillation import TokenDistillation, distillation_loss
from torch.nn import functional as F

from tests.models.vl.small import inputs, tiny


def loss_of(model, batch, shift=0):
    """A loss whose weight is also what the encoder and the decoder look tokens up in."""
    tokens = batch["decoder_input_ids"].roll(shift, 1)
    encoded = model.encode(batch["input_ids"].roll(shift, 1))
    hidden = model.decode(decoder_input_ids=tokens, encoder_outputs=encoded).flatten(0, 1)
    return label_smoothed_cross_entropy(hidden, model.output_embedding, batch["target"].flatten(), 0.1)[0]


def test_look_ups_add_to_the_dense_gradient_of_several_losses(bundle, batch, monkeypatch):
    """In one backward pass and in two that add up; a pass that was cut short before leaves nothing behind."""
    model = bundle.model
    weight = model.output_embedding
    with monkeypatch.context() as patch:
        for room in ("encoder", "decoder"):
            patch.setattr(f"ofakit.models.ofa.{room}.look_up", lambda embedding, ids: embedding(ids))
        (loss_of(model, batch) + loss_of(model, batch, 1)).backward()
    expected, weight.grad = weight.grad, None
    torch.autograd.grad(loss_of(model, batch), [model.decoder.embed_positions.weight])
    (loss_of(model, batch) + loss_of(model, batch, 1)).backward()
    torch.testing.assert_close(weight.grad, expected, atol=1e-5, rtol=1e-5)
    weight.grad = None
    loss_of(model, batch).backward()
    loss_of(model, batch, 1).backward()
    assert not weight.grad.is_sparse and not weight.late_rows
    torch.testing.assert_close(weight.grad, expected, atol=1e-5, rtol=1e-5)


def test_a_graph_that_is_kept_gives_the_same_gradient_again(bundle, batch):
    weight = bundle.model.output_embedding
    loss = loss_of(bundle.model, batch)
    loss.backward(retain_graph=True)
    first = weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(weight.grad, 2 * first, atol=1e-6, rtol=1e-6)


def test_fp16_keeps_gradients_that_a_loss_scale_would_save():
    torch.manual_seed(1)
    tokens, vocabulary = 300, 59457
    weight = (torch.randn(vocabulary, 16) * 0.02).requires_grad_()
    hidden = torch.randn(tokens, 16, requires_grad=True)
    target = torch.randint(0, vocabulary, (tokens,))

    def gradients(precision):
        with torch.autocast("cpu", torch.float16, enabled=precision == "fp16"):
            loss, _ = label_smoothed_cross_entropy(hidden, weight, target, 0.1, 1 / tokens)
        return [g / 2.0**16 for g in torch.autograd.grad(loss * 2.0**16, [hidden, weight])]

    never_target = torch.ones(vocabulary, dtype=torch.bool).index_fill_(0, target, False)
    (exact, exact_weight), (found, found_weight) = gradients("fp32"), gradients("fp16")
    assert (found - exact).norm() < 2e-3 * exact.norm()
    rest = exact_weight[never_target]
    assert (found_weight[never_target] - rest).norm() < 2e-3 * rest.norm()


TARGET = torch.tensor([3, 0, 5, 5, 1])
ADVANTAGE = torch.tensor([1.0, -0.5, 2.0, 0.0, 1.0], dtype=torch.float64)
STATES = torch.linspace(-2, 2, 5 * 4, dtype=torch.float64).reshape(5, 4).sin()
LOSSES = {
    "smoothed": lambda h, w, b: label_smoothed_cross_entropy(h, w, TARGET, 0.1, 0.5, b),
    "r-drop": lambda h, w, b: r_drop_loss(h, h.flip(0), w, TARGET, 0.1, 0.7, 0.5, b),
    "policy": lambda h, w, b: policy_loss(h, w, TARGET, ADVANTAGE, 0.5, ADVANTAGE - 3, 0.2, b),
    "student": lambda h, w, b: distillation_loss(h, w, STATES, STATES[:, :4].repeat(2, 1)[:9], 2.0, 0.5, b),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_bias_is_a_column_of_the_output_embedding_whose_state_is_one(loss):
    torch.manual_seed(0)
    hidden, weight = (torch.randn(n, 4, dtype=torch.float64, requires_grad=True) for n in (5, 9))
    bias = torch.randn(9, dtype=torch.float64)
    wide = F.pad(hidden, (0, 1), value=1.0), torch.cat([weight, bias[:, None]], 1)
    expected, found = loss(*wide, None), loss(hidden, weight, bias)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one)
    slopes = [torch.autograd.grad(total[0], [hidden, weight]) for total in (expected, found)]
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(other, one)
    assert not torch.allclose(loss(hidden, weight, None)[0], found[0])


def test_the_teachers_bias_and_losses_without_gradient_are_of_the_same_logits():
    torch.manual_seed(0)
    hidden, weight, taught, bias = (torch.randn(*size).double() for size in ((5, 4), (9, 4), (5, 4), (9,)))
    teacher = F.pad(taught, (0, 1), value=1.0), torch.cat([weight, bias[:, None]], 1)
    expected = distillation_loss(hidden, weight, *teacher, 2.0)[0]
    torch.testing.assert_close(distillation_loss(hidden, weight, taught, weight, 2.0, teacher_bias=bias)[0], expected)
    wide = F.pad(hidden, (0, 1), value=1.0), torch.cat([weight, bias[:, None]], 1)
    torch.testing.assert_close(token_losses(hidden, weight, TARGET, 0.1, bias), token_losses(*wide, TARGET, 0.1))


def test_every_objective_adds_the_models_bias(tmp_path):
    model = tiny()
    model.final_logits_bias.normal_(std=2.0, generator=torch.Generator().manual_seed(3))
    target = torch.tensor([[5, 6, 2], [7, 2, 1], [8, 9, 2]])
    batch = {**inputs(), "decoder_input_ids": target.roll(1, 1), "target": target}
    batch |= {f"v/{name}": batch[name] for name in ("input_ids", "decoder_input_ids", "target")}
    shown = {name: batch[name] for name in ("input_ids", "vis_feats", "boxes", "decoder_input_ids")}
    with torch.no_grad():
        logits = model(**shown).logits
        nll = F.cross_entropy(logits.transpose(1, 2), target, ignore_index=1, reduction="none")
        torch.testing.assert_close(CrossEntropy(label_smoothing=0.0)(model, batch, 8, 0)[0], nll.sum() / 8)
        torch.testing.assert_close(CrossEntropy(0.0, r_drop_alpha=1.0)(model, batch, 8, 0)[0], nll.sum() / 8)
        means = nll.sum(1) / (target != 1).sum(1)
        torch.testing.assert_close(SoftAnswer()(model, batch, 3, 0)[0], means.mean())
        torch.testing.assert_close(view_loss(model, batch, "v", True, 1, 0.0, 1.0)[0], nll.sum())
        found = sequence_log_probs(model, batch, batch["decoder_input_ids"], target, 1)
        torch.testing.assert_close(found, -nll)
        model.save_pretrained(tmp_path)
        student = TokenDistillation(str(tmp_path))
        student.teacher, student.mean_std = model, None
        assert student(model, batch, 8, 0)[0].abs() < 1e-6
        asked = answer_logits(model, model.encoder_inputs(batch), Answers([9], [4, 17]))
        begin = torch.tensor([[model.special_tokens.bos, 9]] * 3)
        wanted = model(**{**shown, "decoder_input_ids": begin}).logits[:, -1, [4, 17]]
        torch.testing.assert_close(asked, wanted)

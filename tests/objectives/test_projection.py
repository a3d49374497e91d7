"""The projected loss and its gradient in a weight that look-ups share."""

from __future__ import annotations

import torch
from ofakit.objectives.cross_entropy import label_smoothed_cross_entropy


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

"""What layers share: dropout, branches and layers dropped whole, look-ups with small gradients, feed-forward nets."""

import copy

import pytest
import torch
from ofakit.models.ofa.layers import (
    announce_dense_gradient,
    drop_path,
    dropout,
    initialize,
    look_up,
    surviving_layers,
)
from torch import nn
from torch.nn import functional as F

from tests.models.ofa.small import build, inputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dropout_keeps_its_share_and_the_mean(dtype):
    torch.manual_seed(0)
    x = torch.ones(400, 500, dtype=dtype)
    y = dropout(x, 0.1)
    assert y.dtype == dtype and y.unique().numel() == 2
    share = (y == 0).double().mean().item()
    assert share == pytest.approx(0.1, abs=4 * (0.09 / x.numel()) ** 0.5)
    assert y.max().item() == pytest.approx(1 / 0.9, rel=4e-3 if dtype == torch.bfloat16 else 1e-4)
    rows = (y == 0).double().mean(1)
    assert rows.std().item() == pytest.approx((0.09 / 500) ** 0.5, rel=0.15)


def test_dropout_follows_the_seed_and_its_gradient_is_its_mask():
    x = torch.randn(7, 11, requires_grad=True)
    torch.manual_seed(3)
    y = dropout(x, 0.5)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0) and torch.allclose(x.grad[x.grad != 0], torch.tensor(2.0))
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5), y)
    assert not torch.equal(dropout(x, 0.5), y)


def test_drop_path_drops_whole_branches_and_keeps_the_mean():
    torch.manual_seed(0)
    y = drop_path(torch.ones(4000, 2, 3), 0.25).flatten(1)
    assert torch.equal(y, y[:, :1].expand_as(y))
    dropped = y[:, 0] == 0
    assert dropped.double().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(y[~dropped], torch.full_like(y[~dropped], 1 / 0.75))


def test_layer_drop_leaves_out_its_share_and_only_in_training():
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Identity() for _ in range(4000))
    kept = surviving_layers(layers, 0.2, training=True)
    assert len(kept) / len(layers) == pytest.approx(0.8, abs=0.03)
    assert all(layers[index] is layer for index, layer in kept)
    assert surviving_layers(layers, 0.2, training=False) == surviving_layers(layers, 0.0, True) == [*enumerate(layers)]


@pytest.mark.parametrize("tied", [True, False])
def test_the_gradient_of_the_token_embedding_is_dense_and_right(tied):
    model, batch = build(share_decoder_input_output_embed=tied), inputs()
    model = copy.deepcopy(model)
    batch["input_ids"][0, 2:] = 1
    weight = model.encoder.embed_tokens.weight
    for decoded in (False, True, True):
        before = 0 if weight.grad is None else weight.grad.clone()
        run = model(**batch).logits if decoded else model.encode(batch["input_ids"]).last_hidden_state
        run.square().sum().backward()
        assert not weight.grad.is_sparse
        change = weight.grad - before
        expected = plain_gradient(model, batch, decoded)
        torch.testing.assert_close(change, expected, atol=1e-3, rtol=1e-3)


def plain_gradient(model, batch, decoded):
    model = copy.deepcopy(model)
    model.zero_grad()
    with pytest.MonkeyPatch.context() as patch:
        for room in ("encoder", "decoder"):
            patch.setattr(f"ofakit.models.ofa.{room}.look_up", lambda embedding, ids: embedding(ids))
        run = model(**batch).logits if decoded else model.encode(batch["input_ids"]).last_hidden_state
        run.square().sum().backward()
    return model.encoder.embed_tokens.weight.grad


@pytest.mark.parametrize("projected", ["before", "after", "never"])
def test_look_ups_add_to_a_dense_gradient_in_place(projected):
    torch.manual_seed(0)
    embedding = nn.Embedding(7, 3, padding_idx=1)
    ids, x = torch.tensor([[2, 1, 2], [5, 6, 1]]), torch.randn(4, 3)
    plain = copy.deepcopy(embedding)

    class Projection(torch.autograd.Function):
        """x weight^T with a dense gradient that announces itself."""

        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x)
            ctx.weight = weight
            return x @ weight.t()

        @staticmethod
        def backward(ctx, grad):
            announce_dense_gradient(ctx.weight)
            return None, grad.t() @ ctx.saved_tensors[0]

    def loss(look, project, weight):
        parts = [look(ids).square().sum(), project(x, weight).square().sum(), look(ids.flip(0)).sin().sum()]
        return {"before": parts[0] + parts[1] + parts[2], "after": parts[1] + parts[0], "never": parts[0]}[projected]

    for _ in range(2):  # gradients accumulate
        loss(lambda ids: look_up(embedding, ids), Projection.apply, embedding.weight).backward()
        loss(plain, lambda x, weight: x @ weight.t(), plain.weight).backward()
    assert not embedding.weight.grad.is_sparse
    torch.testing.assert_close(embedding.weight.grad, plain.weight.grad)


def test_initialisation_is_the_stock_one():
    torch.manual_seed(0)
    linear, embedding, norm = nn.Linear(200, 100), nn.Embedding(100, 200, padding_idx=3), nn.LayerNorm(4)
    for module in (linear, embedding, norm):
        initialize(module, 0.3)
    for weight in (linear.weight, embedding.weight):
        assert weight.std().item() == pytest.approx(0.3, rel=0.03)
    assert (linear.bias == 0).all() and (embedding.weight[3] == 0).all() and (norm.weight == 1).all()


@pytest.mark.parametrize("normformer", [True, False])
@pytest.mark.parametrize("name, function", [("gelu", F.gelu), ("relu", F.relu), ("silu", F.silu)])
@pytest.mark.parametrize("learns", [True, False])
def test_the_feed_forward_net(normformer, name, function, learns):
    layer = build(normformer=normformer, activation_function=name, use_image_feature=False).encoder.layers[0]
    x = torch.randn(2, 3, 32)
    middle = function(F.linear(x, layer.fc1.weight, layer.fc1.bias))
    if normformer:
        middle = F.layer_norm(middle, (64,), layer.ffn_layer_norm.weight, layer.ffn_layer_norm.bias)
    with torch.set_grad_enabled(learns):
        torch.testing.assert_close(layer.feed_forward(x), F.linear(middle, layer.fc2.weight, layer.fc2.bias))


@pytest.mark.parametrize("before", [True, False])
def test_a_branch_is_normalised_before_or_after_and_scaled_by_its_gain(before):
    layer = build(encoder_normalize_before=before, use_image_feature=False).eval().encoder.layers[0]
    x, gain = torch.randn(2, 3, 32), torch.rand(32)
    norm, mid = nn.LayerNorm(32, elementwise_affine=False), nn.LayerNorm(32, elementwise_affine=False)
    found = layer.branch(x, torch.sin, norm, mid, gain)
    wanted = x + gain * mid(norm(x).sin()) if before else norm(x + gain * mid(x.sin()))
    torch.testing.assert_close(found, wanted)

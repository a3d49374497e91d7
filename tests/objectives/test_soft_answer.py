"""The loss of answers: the mean over tokens of each question, times how right its answer is."""

from __future__ import annotations

import json

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.objectives.soft_answer import SoftAnswer
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class Decoder(nn.Module):
    """Gives states that were written down."""

    output_bias = None

    def __init__(self, states, weight):
        super().__init__()
        self.states, self.output_embedding = states, nn.Parameter(weight)

    def encoder_inputs(self, batch):
        return {}

    def encode(self):
        return None

    def decode(self, decoder_input_ids, encoder_outputs):
        return self.states


def case():
    generator = torch.Generator().manual_seed(0)
    states, weight = torch.randn(3, 4, 8, generator=generator), torch.randn(11, 8, generator=generator)
    target = torch.tensor([[5, 6, 7, 2], [9, 2, 1, 1], [2, 1, 1, 1]])
    batch = {"target": target, "decoder_input_ids": target, "score": torch.tensor([1.0, 0.3, 0.6])}
    return Decoder(states, weight), batch


def expected(model, batch, smoothing=0.0):
    logits = model.states @ model.output_embedding.t()
    losses = F.cross_entropy(logits.transpose(1, 2), batch["target"], ignore_index=1, reduction="none")
    there = batch["target"] != 1
    return ((losses * there).sum(1) / there.sum(1) * batch["score"]).mean()


@pytest.mark.parametrize("name", ["vlbart_boxes", "vlt5_boxes"])
def test_the_loss_of_the_original(shared, name):
    folder = shared / "golden" / "vl" / name
    weights, inputs = load_file(folder / "weights_fp16.safetensors"), load_file(folder / "inputs.safetensors")
    states = load_file(folder / "outputs.safetensors")["decoder_last_hidden_state"]
    if name.startswith("vlt5"):
        states = states * states.shape[-1] ** -0.5
    weight, bias = weights["lm_head.weight"].float(), weights.get("final_logits_bias")
    if bias is not None:
        states, weight = F.pad(states, (0, 1), value=1.0), torch.cat([weight, bias.float().t()], 1)
    model = Decoder(states, weight)
    pad = -100
    target = inputs["target_ids"]
    batch = {"target": target, "decoder_input_ids": target, "score": inputs["scores"].float()}
    loss, _ = SoftAnswer(pad_token_id=pad)(model, batch, SoftAnswer(pad_token_id=pad).normalizer(batch), 0)
    losses = json.loads((folder / "expected.json").read_text())["losses"]
    assert loss.item() == pytest.approx(losses["train_step_vqa"], abs=3e-5)


def test_short_answers_count_as_much_and_by_their_score():
    model, batch = case()
    loss, logs = SoftAnswer()(model, batch, SoftAnswer().normalizer(batch), 0)
    torch.testing.assert_close(loss, expected(model, batch))
    assert float(logs["nll"]) == pytest.approx(loss.item()) and not logs["loss"].requires_grad
    loss.backward()
    own = model.output_embedding.grad.clone()
    model.output_embedding.grad = None
    expected(model, batch).backward()
    torch.testing.assert_close(own, model.output_embedding.grad)


def test_micro_batches_add_up_to_the_batch():
    model, batch = case()
    whole, _ = SoftAnswer(0.1)(model, batch, 3, 0)
    parts = []
    for place in range(3):
        own = Decoder(model.states[place : place + 1], model.output_embedding.data)
        parts.append(SoftAnswer(0.1)(own, {name: value[place : place + 1] for name, value in batch.items()}, 3, 0)[0])
    torch.testing.assert_close(sum(parts), whole)


def test_without_scores_every_answer_is_right():
    model, batch = case()
    right = {**batch, "score": torch.ones(3)}
    found = SoftAnswer()(model, {name: batch[name] for name in ("target", "decoder_input_ids")}, 3, 0)[0]
    torch.testing.assert_close(found, SoftAnswer()(model, right, 3, 0)[0])


def test_a_smoothing_that_is_none_is_refused():
    with pytest.raises(UsageError, match="label_smoothing must be at least 0 and below 1, found 1.5"):
        SoftAnswer(1.5)

"""Learned states in front of the text."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.adapters import add_adapters, trainable_share, using_task
from ofakit.models.generation import generate, score_sequences

from tests.models.adapters.small import WIDTH, bart, bert, ofa, stir
from tests.models.encoders.kinds import made as made_encoder
from tests.models.ofa.small import build, inputs

SPEC = {"type": "prompt", "encoder_length": 3, "middle": 16}


def prompted(tasks=None):
    torch.manual_seed(0)
    model = add_adapters(ofa(), SPEC, tasks).eval()
    stir(model)
    return model


def test_the_formula_and_its_tasks():
    model = prompted(["a", "b"])
    prompt = model.encoder.prompt
    layers = prompt.prompts.b
    wanted = (
        torch.tanh(layers[0].weight @ layers[1].weight.t() + layers[1].bias) @ layers[3].weight.t() + layers[3].bias
    )
    torch.testing.assert_close(prompt("b"), wanted)
    assert prompt.length == 3 and wanted.shape == (3, WIDTH)
    with using_task(model, "b"):
        assert torch.equal(prompt(), prompt("b"))
    with pytest.raises(UsageError, match="chosen task is None"):
        prompt()


def test_ofa_reads_it_between_patches_and_text():
    model, given = prompted(), {k: v for k, v in inputs().items() if k != "decoder_input_ids"}
    given["input_ids"][1, 3:] = model.config.pad_token_id
    given["patch_masks"][0] = False
    with torch.no_grad():
        found, plain = model.encode(**given), ofa().encode(**given)
        assert found.last_hidden_state.shape[1] == plain.last_hidden_state.shape[1] + 3
        patches = plain.last_hidden_state.shape[1] - 5
        assert not found.padding_mask[:, patches : patches + 3].any()
        assert torch.equal(found.padding_mask[:, patches + 3 :], plain.padding_mask[:, patches:])
        text = model.encode(input_ids=given["input_ids"])
        assert text.last_hidden_state.shape[1] == 8 and not text.padding_mask[:, :3].any()
        longer = torch.nn.functional.pad(given["input_ids"], (0, 2), value=model.config.pad_token_id)
        padded = model.encode(**{**given, "input_ids": longer}).last_hidden_state
        torch.testing.assert_close(padded[:, :-2][~found.padding_mask], found.last_hidden_state[~found.padding_mask])
    assert generate(model, given, num_beams=2, max_length=5)
    assert trainable_share(model) < 0.01


def test_ofa_learns_it_and_is_changed_by_it():
    model, given = prompted(), inputs()
    before = model(**given).logits
    before.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.encoder.prompt.parameters())
    stir(model)
    assert (model(**given).logits - before).abs().max() > 1e-3


def with_both(seed=0, **keys):
    torch.manual_seed(seed)
    model = add_adapters(ofa(), {**SPEC, "decoder_length": 4, **keys}).eval()
    stir(model)
    return model


def test_words_of_ofas_decoder_see_the_prompt_and_it_sees_none_of_them():
    model, given = with_both(), inputs()
    before = model(**given)
    assert before.logits.shape[1] == 4 and before.decoder_last_hidden_state.shape[1] == 4
    before.logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.decoder.prompt.parameters())
    last = {**given, "decoder_input_ids": given["decoder_input_ids"].clone()}
    last["decoder_input_ids"][:, -1] = 5
    with torch.no_grad():
        changed = model(**last, output_hidden_states=True)
        torch.testing.assert_close(changed.logits[:, :-1], before.logits[:, :-1])
        assert {state.shape[1] for state in changed.decoder_hidden_states} == {4}
        padded = {**given, "decoder_input_ids": torch.nn.functional.pad(given["decoder_input_ids"], (0, 2), value=1)}
        torch.testing.assert_close(model(**padded).logits[:, :4], before.logits, atol=1e-5, rtol=1e-5)
        stir(model)
        assert (model(**given).logits - before.logits).abs().max() > 1e-3


@pytest.mark.parametrize("entangled", [False, True])
def test_steps_of_ofas_decoder_give_what_whole_sequences_give(entangled):
    torch.manual_seed(0)
    model = add_adapters(build(entangle_position_embedding=entangled), {**SPEC, "decoder_length": 4}).eval()
    stir(model)
    given = {name: value for name, value in inputs().items() if name != "decoder_input_ids"}
    ids = torch.randint(4, 60, (2, 6))
    with torch.no_grad():
        encoded = model.encode(**given)
        steps = model.start(encoded, 1, 6)
        found = torch.stack([steps.step(ids[:, at]) for at in range(6)], 1)
        torch.testing.assert_close(found, model.decode(ids, encoded), atol=1e-5, rtol=1e-5)
    best = [row[0] for row in generate(model, given, num_beams=3, max_length=7)]
    fast = [row[0] for row in generate(model.prepare_for_inference(), given, num_beams=3, max_length=7)]
    assert [row.tokens for row in best] == [row.tokens for row in fast]
    sums = score_sequences(model, given, [row.tokens for row in best]).sum(1)
    assert [row.score for row in best] == pytest.approx(
        [total.item() / len(row.tokens) for total, row in zip(sums, best, strict=True)], abs=1e-4
    )


@pytest.mark.parametrize("kind", ["bert", "t5", "t5 decoder"])
def test_encoders_of_hugging_face_read_it(kind, tmp_path):
    torch.manual_seed(0)
    encoder, _ = made_encoder(kind, tmp_path)
    batch = {
        "input_ids": torch.tensor([[5, 7, 9, 3], [5, 7, 3, 0]]),
        "attention_mask": torch.tensor([[1] * 4, [1] * 3 + [0]]),
    }
    plain = encoder.eval().pooled(batch, ("text",))
    add_adapters(encoder, SPEC).eval()
    stir(encoder)
    with torch.no_grad():
        found = encoder.pooled(batch, ("text",))
        assert found.shape == plain.shape and (found - plain).abs().max() > 1e-3
        short = {name: value[1:, :3] for name, value in batch.items()}
        torch.testing.assert_close(encoder.pooled(short, ("text",)), found[1:], atol=1e-5, rtol=1e-4)


def test_what_takes_none_is_refused():
    with pytest.raises(UsageError, match="the encoder of a BertModel does not support prompts"):
        add_adapters(bert(), SPEC)
    with pytest.raises(UsageError, match="has no place for such a prompt"):
        add_adapters(bert(), {"type": "prompt", "encoder_length": 0, "decoder_length": 2})
    assert not hasattr(bart(), "prompt")

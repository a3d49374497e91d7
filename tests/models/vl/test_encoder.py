"""What the encoder gives; its numbers are tested in test_model.py."""

from __future__ import annotations

import torch

from tests.models.vl.small import inputs, tiny


def test_selected_examples_are_those_that_were_encoded():
    model, batch = tiny("t5"), inputs()
    index = torch.tensor([2, 0, 0])
    with torch.no_grad():
        chosen = model.encode(**batch, output_hidden_states=True).select(index)
        again = model.encode(**{key: value[index] for key, value in batch.items()}, output_hidden_states=True)
    torch.testing.assert_close(chosen.last_hidden_state, again.last_hidden_state)
    assert torch.equal(chosen.padding_mask, again.padding_mask)
    torch.testing.assert_close(chosen.hidden_states[1], again.hidden_states[1])


def test_text_alone_and_no_regions_are_the_same():
    model, batch = tiny(), inputs()
    with torch.no_grad():
        alone = model.encode(batch["input_ids"]).last_hidden_state
        none = model.encode(batch["input_ids"], batch["vis_feats"][:, :0], batch["boxes"][:, :0]).last_hidden_state
        hidden = model.encode(**batch, vis_attention_mask=torch.zeros(3, 5)).last_hidden_state[:, :6]
    torch.testing.assert_close(none, alone)
    torch.testing.assert_close(hidden, alone, atol=2e-5, rtol=1e-5)

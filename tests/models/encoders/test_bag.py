"""Bags of words."""

from __future__ import annotations

import torch

from tests.models.encoders.kinds import made

BATCH = {"input_ids": torch.tensor([[2, 7, 9, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.int64)}


def test_order_does_not_matter_and_weights_do(tmp_path):
    encoder, _ = made("bag", tmp_path)
    with torch.no_grad():
        plain = encoder.pooled(BATCH, ("text",))
        torch.testing.assert_close(encoder.pooled({**BATCH, "input_ids": BATCH["input_ids"].flip(1)}, ("text",)), plain)
        torch.testing.assert_close(plain[0], encoder.embedding(BATCH["input_ids"][0]).mean(0))
        encoder.log_weight.weight[9] = 20
        torch.testing.assert_close(
            encoder.pooled(BATCH, ("text",))[0], encoder.embedding.weight[9], atol=1e-5, rtol=1e-5
        )


def test_dropout_leaves_whole_tokens_out_and_only_in_training(tmp_path):
    encoder, _ = made("bag", tmp_path)
    encoder.settings.dropout = 0.5
    with torch.no_grad():
        still = encoder.pooled(BATCH, ("text",))
        assert torch.equal(encoder.pooled(BATCH, ("text",)), still)
        encoder.train()
        drawn = torch.stack([encoder.pooled(BATCH, ("text",)) for _ in range(20)])
    assert len({tuple(row.flatten().tolist()) for row in drawn}) > 3 and drawn.isfinite().all()

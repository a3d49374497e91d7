"""Regions as embeddings; the golden cases are in test_model.py."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.heads.grid_pool import pool_grid
from ofakit.models.vl.visual_embedding import box_numbers

from tests.models.vl.small import inputs, tiny


def test_the_fifth_number_is_that_of_the_checkpoints_and_not_the_area():
    box = torch.tensor([0.1, 0.2, 0.5, 0.9])
    found = box_numbers(box)
    assert found[4].item() == pytest.approx((0.9 - 0.5) * (0.2 - 0.1))
    assert found[4].item() != pytest.approx((0.5 - 0.1) * (0.9 - 0.2))


def test_places_are_rows_of_the_token_table_from_its_end_and_stay_when_it_grows():
    model, batch = tiny(), inputs()
    embedding = model.encoder.visual_embedding
    with torch.no_grad():
        before = embedding(batch["vis_feats"], batch["boxes"])
        order = embedding.order(None, None, batch["vis_feats"])
        first = embedding.img_order_embedding.weight[0]
        torch.testing.assert_close(order[0], first + model.shared.weight[-5:].flip(0))
        model.resize_token_embeddings(330)
        torch.testing.assert_close(embedding(batch["vis_feats"], batch["boxes"]), before)
        model.resize_token_embeddings(350)
        torch.testing.assert_close(embedding(batch["vis_feats"], batch["boxes"]), before)


def test_each_image_is_pooled_by_itself():
    model = tiny(downsample=True, n_boxes=4)
    embedding = model.encoder.visual_embedding
    feats, images = torch.rand(2, 18, 8), torch.tensor([[0] * 9 + [1] * 9] * 2)
    found, _, order, _, mask = embedding.pooled(feats, None, images, None, torch.ones(2, 18))
    torch.testing.assert_close(found, torch.cat([pool_grid(feats[:, :9], 2), pool_grid(feats[:, 9:], 2)], 1))
    assert order.tolist() == [[0] * 4 + [1] * 4] * 2 and mask.shape == (2, 8)

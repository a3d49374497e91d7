"""The encoder: images and texts side by side, what is missing, and what is too large."""

import pytest
import torch
from ofakit.errors import UsageError
from torch import nn

from tests.models.ofa.small import build, inputs


def encoder_inputs(**keys):
    batch = inputs(**keys)
    del batch["decoder_input_ids"]
    return batch


def test_several_texts_about_one_image_equal_the_image_repeated():
    model, batch = build().eval(), inputs()
    index = torch.tensor([1, 0, 1])
    ids = torch.randint(4, 60, (3, 6), generator=torch.Generator().manual_seed(2))
    images = {"patch_images": batch["patch_images"], "patch_masks": torch.tensor([True, False])}
    repeated = model.encode(ids, **{name: value[index] for name, value in images.items()})
    found = model.encode(ids, **images, image_index=index)
    torch.testing.assert_close(found.last_hidden_state, repeated.last_hidden_state, atol=1e-5, rtol=1e-5)
    assert torch.equal(found.padding_mask, repeated.padding_mask) and found.padding_mask[0].any()


@pytest.mark.parametrize(
    "keys", [{}, {"interpolate_position": True, "orig_patch_image_size": 32}], ids=["plain", "interpolated"]
)
def test_images_beyond_the_position_tables_are_refused(keys):
    model, batch = build(image_bucket_size=2, **keys), inputs(pixels=48)
    with pytest.raises(UsageError, match="too large; the model has positions for 2 x 2"):
        model(**batch)


def test_patches_stand_before_tokens_and_a_missing_image_is_padding():
    model, batch = build().eval(), encoder_inputs()
    batch["patch_masks"] = torch.tensor([True, False])
    batch["input_ids"][0, 3:] = model.config.pad_token_id
    found = model.encode(**batch)
    patches = 3 * 3
    assert found.last_hidden_state.shape == (2, patches + 5, 32)
    assert found.padding_mask.tolist() == [[False] * (patches + 3) + [True] * 2, [True] * patches + [False] * 5]
    assert found.has_padding and found.position_embedding.shape == (patches + 5, 32)
    assert not model.encode(**encoder_inputs()).has_padding


def test_selecting_examples():
    model, batch = build().eval(), encoder_inputs()
    batch["patch_masks"] = torch.tensor([True, False])
    with torch.no_grad():
        whole = model.encode(**batch, output_hidden_states=True)
    chosen = whole.select(torch.tensor([1, 1, 0]))
    assert torch.equal(chosen.last_hidden_state, whole.last_hidden_state[[1, 1, 0]])
    assert torch.equal(chosen.padding_mask, whole.padding_mask[[1, 1, 0]])
    assert torch.equal(chosen.hidden_states[1], whole.hidden_states[1][[1, 1, 0]])
    assert chosen.position_embedding is whole.position_embedding and chosen.has_padding


def test_hidden_states_are_those_before_the_last_norm():
    model, batch = build().eval(), encoder_inputs()
    with torch.no_grad():
        found = model.encode(**batch, output_hidden_states=True)
        torch.testing.assert_close(model.encoder.layer_norm(found.hidden_states[-1]), found.last_hidden_state)
    assert len(found.hidden_states) == 3 and model.encode(**batch).hidden_states is None


@pytest.mark.parametrize("pixels", [32, 64])
def test_positions_are_interpolated_beyond_the_size_of_training(pixels):
    """At 32 pixels the grid is the one of training; at 64 its corners are, with what lies between in between."""
    encoder = build(interpolate_position=True, orig_patch_image_size=32).eval().encoder
    small = encoder._image_positions(2, 2)
    found = encoder._image_positions(pixels // 16, pixels // 16)
    if pixels == 32:
        assert torch.equal(found, small)
        return
    grid = small.view(2, 2, -1)
    wanted = nn.functional.interpolate(grid.permute(2, 0, 1)[None], size=(4, 4), mode="bilinear")[0].permute(1, 2, 0)
    torch.testing.assert_close(found.view(4, 4, -1), wanted)
    torch.testing.assert_close(found[0], small[0])
    torch.testing.assert_close(found.view(4, 4, -1)[0, 1], 0.75 * grid[0, 0] + 0.25 * grid[0, 1])


def test_position_biases_are_of_the_relative_distance_and_do_not_cross_from_image_to_text():
    model = build().eval()
    encoder = model.encoder
    positions = torch.zeros(4 + 3, 32)
    with torch.no_grad():
        bias = encoder._bias_maker(positions, 3, (2, 2))(1)
    text, image = encoder.token_rel_pos_table_list[1].weight, encoder.image_rel_pos_table_list[1].weight
    absolute = encoder._bias_maker(positions[:4], 0, None)(1)[:, :1, :1]
    torch.testing.assert_close(bias[:, 4:, :4], absolute.expand(-1, 3, 4))
    torch.testing.assert_close(bias[:, 5, 4] - absolute[:, 0, 0], text[model.config.token_bucket_size])
    size = model.config.image_bucket_size
    below = (2 - 1 + size - 1) * (2 * size - 1) + size - 1  # one row down, the same column
    torch.testing.assert_close(bias[:, 2, 0] - absolute[:, 0, 0], image[below])


def test_the_backbone_keeps_its_mode_only_while_frozen():
    encoder = build().encoder
    assert encoder.train().embed_images.training
    encoder.visual_frozen = True
    assert not encoder.train().embed_images.training and encoder.training


def test_half_precision_does_not_overflow():
    model = build().eval()
    layer = model.encoder.layers[0]
    x = torch.full((1, 2, 32), 65000.0, dtype=torch.float16)
    with torch.no_grad():
        found = layer.half()(x, torch.zeros(4, 2, 2, dtype=torch.float16), None)
    assert torch.isfinite(found).all() and found.max() <= torch.finfo(torch.float16).max - 1000

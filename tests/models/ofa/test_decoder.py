"""The decoder: one token at a time equals whole sequences, whatever is reordered and dropped on the way."""

import pytest
import torch
from ofakit.errors import UsageError

from tests.models.ofa.small import UNEVEN, build, inputs


@pytest.fixture
def model():
    return build(**{**UNEVEN, "dropout": 0.0}).eval()


@pytest.fixture
def encoded(model):
    batch = inputs(3)
    batch["patch_masks"] = torch.tensor([True, False, True])
    with torch.no_grad():
        return model.encode(**{name: batch[name] for name in ("input_ids", "patch_images", "patch_masks")})


def test_steps_end_where_the_state_does():
    model, batch = build().eval(), inputs()
    del batch["decoder_input_ids"]
    state = model.decoder.start(model.encode(**batch), 1, 1)
    model.decoder.step(torch.zeros(2, dtype=torch.long), state)
    with pytest.raises(UsageError, match="1 tokens"):
        model.decoder.step(torch.zeros(2, dtype=torch.long), state)


@pytest.mark.parametrize("beams", [1, 3])
def test_steps_equal_whole_sequences_through_reordering_and_dropping(model, encoded, beams):
    generator = torch.Generator().manual_seed(2)
    state = model.decoder.start(encoded, beams, 6)
    images, pasts = torch.arange(3), torch.zeros(3, beams, 0, dtype=torch.long)
    for step in range(6):
        tokens = torch.randint(4, 60, (len(images), beams), generator=generator)
        pasts = torch.cat([pasts, tokens[..., None]], -1)
        with torch.no_grad():
            hidden = model.decoder.step(tokens.flatten(), state)
            whole = model.decode(pasts.flatten(0, 1), encoded.select(images.repeat_interleave(beams)))
        torch.testing.assert_close(hidden, whole[:, -1], atol=2e-5, rtol=1e-4)
        local = torch.randint(0, beams, (len(images), beams), generator=generator)
        state.reorder((local + torch.arange(len(images))[:, None] * beams).flatten())
        pasts = pasts.gather(1, local[..., None].expand_as(pasts))
        if step == 2:
            keep = torch.tensor([1, 2])
            state.select(keep)
            images, pasts = images[keep], pasts[keep]
    assert state.batch_size == 2 and state.length == 6


def test_one_token_an_image_stands_for_all_beams_in_the_first_step(model, encoded):
    tokens = torch.tensor([5, 6, 7])
    alike, each = (model.decoder.start(encoded, 4, 3) for _ in range(2))
    one = model.decoder.step(tokens, alike)
    all_four = model.decoder.step(tokens.repeat_interleave(4), each)
    torch.testing.assert_close(one.repeat_interleave(4, 0), all_four)
    following = torch.arange(10, 22)
    torch.testing.assert_close(model.decoder.step(following, alike), model.decoder.step(following, each))


def test_the_cache_is_of_fixed_size_and_reordering_copies_none_of_it(model, encoded):
    state = model.decoder.start(encoded, 3, 5)
    keys = state.layers[0].keys
    assert keys.shape == (3, 2, 15, 16)
    model.decoder.step(torch.tensor([5, 6, 7]), state)
    state.reorder(torch.tensor([2, 1, 0, 3, 4, 5, 6, 7, 8]))
    assert state.layers[0].keys is keys


def test_no_token_sees_what_comes_after_it(model, encoded):
    ids = torch.randint(4, 60, (3, 5), generator=torch.Generator().manual_seed(1))
    other = ids.clone()
    other[:, 3:] = 9
    with torch.no_grad():
        one, two = model.decode(ids, encoded), model.decode(other, encoded)
    torch.testing.assert_close(one[:, :3], two[:, :3])
    assert not torch.allclose(one[:, 3:], two[:, 3:])


def test_a_state_without_beams_or_tokens_is_refused(model, encoded):
    for beams, length in ((0, 3), (3, 0)):
        with pytest.raises(UsageError, match=f"at least 1, found {beams} and {length}"):
            model.decoder.start(encoded, beams, length)


def test_hidden_states_are_those_before_the_last_norm(model, encoded):
    with torch.no_grad():
        normalised, states = model.decoder(torch.tensor([[5, 6]] * 3), encoded, output_hidden_states=True)
        torch.testing.assert_close(model.decoder.layer_norm(states[-1]), normalised)
    assert len(states) == 1 + 3

"""The mask that tells the beams' pasts apart; decoders are tested with it in their own tests."""

from __future__ import annotations

import torch
from ofakit.models.generation.beam_cache import BeamCache, LayerCache


def cache(examples=2, beams=2):
    layer = LayerCache(*(torch.arange(float(examples)).view(-1, 1, 1, 1) for _ in range(4)))
    return BeamCache(beams, 3, 0, [layer], None, torch.zeros(examples, beams, 3, dtype=torch.int64))


def test_a_beam_sees_its_own_past_and_that_which_it_took_over():
    state = cache(examples=1)
    assert state.hidden_pasts(torch.float32).isinf().tolist() == [[[[False, True], [True, False]]]]
    state.length = 1
    state.reorder(torch.tensor([1, 1]))
    hidden = state.hidden_pasts(torch.float32)[0, 0].isinf()
    assert hidden.tolist() == [[True, False, False, True], [True, False, True, False]]


def test_a_single_beam_needs_no_mask():
    assert cache(beams=1).hidden_pasts(torch.float32) is None


def test_examples_leave_with_their_keys():
    state = cache(examples=3)
    state.select(torch.tensor([0, 2]))
    assert state.batch_size == 2
    assert state.layers[0].keys.flatten().tolist() == [0, 2]

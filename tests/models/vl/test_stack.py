"""What encoder and decoder share; their numbers are tested in test_model.py."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError

from tests.models.vl.small import tiny


def test_positions_of_bart_skip_two_rows_and_end():
    decoder = tiny("bart", max_position_embeddings=9).decoder
    assert torch.equal(decoder.positions(3, 2), decoder.embed_positions.weight[5:7])
    with pytest.raises(UsageError, match="a text of 10 tokens is too long: the model has 9 positions"):
        decoder.positions(0, 10)


def test_distances_of_t5_depend_on_the_distance_alone():
    encoder = tiny("t5").encoder
    bias = encoder.distances(5, True, torch.device("cpu"))
    assert bias.shape == (4, 5, 5)
    assert torch.equal(bias[:, 0, 1], bias[:, 3, 4]) and not torch.equal(bias[:, 0, 1], bias[:, 1, 0])


@pytest.mark.parametrize("scale", [False, True])
def test_words_may_be_scaled(scale):
    encoder = tiny("bart", scale_embedding=scale).encoder
    ids = torch.tensor([[4, 7]])
    torch.testing.assert_close(encoder.words(ids), encoder.embed_tokens.weight[ids] * (8.0 if scale else 1.0))

"""What OFA and VL have in common as encoders; test_base.py, test_ofa.py and test_vl.py look at each."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders._sequence_model import SequenceModelEncoder

from tests.models.encoders.test_vl import batch, made


def test_it_is_no_encoder_by_itself():
    assert {"ofa", "vl"} <= set(ENCODERS.names()) and "sequence_model" not in ENCODERS.names()
    assert all(issubclass(ENCODERS.get(name), SequenceModelEncoder) for name in ("ofa", "vl"))


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_the_first_state_of_the_decoder_is_that_after_its_start_token(family):
    encoder, reading = made(pooling="decoder_start", config={"model_type": family})
    inputs = batch(reading)
    with torch.no_grad():
        found = encoder.embed(inputs, ["text", "image"])
        encoded = encoder.network.encode(**encoder.read(inputs, ["text", "image"]))
        wanted = encoder.network.decode(torch.full((2, 1), encoder.start_token), encoded)[:, 0]
    assert encoder.start_token == encoder.network.special_tokens.bos
    torch.testing.assert_close(found, wanted)

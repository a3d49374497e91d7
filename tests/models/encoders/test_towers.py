"""Two towers beside each other."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.models.encoders import ENCODERS
from ofakit.models.encoders.base import make_encoder, settings_of

from tests.models.encoders.kinds import KINDS, TEXTS, items, made


def test_the_product_of_both_is_the_sum_of_those_of_text_and_image(tmp_path):
    encoder, inputs = made("towers", tmp_path)
    batch = inputs.collate(inputs.samples(items()))
    with torch.no_grad():
        text, image, both = (encoder.embed(batch, m) for m in (("text",), ("image",), ("image", "text")))
    torch.testing.assert_close(both @ both.T, text @ text.T + image @ image.T)
    assert (encoder.dimension(("text",)), encoder.dimension(("image", "text"))) == (text.shape[1], both.shape[1])


def test_sums_have_the_width_of_either(tmp_path):
    encoder, inputs = made("towers sum", tmp_path)
    batch = inputs.collate(inputs.samples(items()))
    with torch.no_grad():
        text, image = (encoder.tower(name).embed(batch, (name,)) for name in ("text", "image"))
        torch.testing.assert_close(encoder.embed(batch, ("text", "image")), torch.nn.functional.normalize(text + image))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"both": "sum"}, "expected towers of equal width to add, found 8 and "),
        ({"projection": 4}, "expected projections inside the towers"),
        ({"text": KINDS["timm"]}, r"expected some of image to encode, found \['text'\]"),
    ],
)
def test_what_cannot_be_joined_is_refused(changes, message):
    spec = Component(**{**KINDS["towers"], **changes})
    with pytest.raises(UsageError, match=message):
        make_encoder(spec, ENCODERS.get("towers").make_reading(settings_of(spec), TEXTS))

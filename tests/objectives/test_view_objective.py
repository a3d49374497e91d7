"""What objectives share that ask for a text by a source of their own."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError

from .conftest import make_bundle, prepared


@pytest.mark.parametrize("kind", ["mlm", "denoising", "span_corruption"])
def test_the_room_of_a_text_is_what_the_prompt_leaves_of_the_positions(examples, kind):
    bundle = make_bundle(max_position_embeddings=40)
    objective = prepared(kind, bundle, examples)
    prompt = len(objective.codec.fixed("dog"))
    assert objective.room("dog") == 40 - prompt - 2 and objective.room("dog", "dog") == 40 - 2 * prompt - 2
    with pytest.raises(UsageError, match=f"{kind}: the prompt takes .* positions"):
        objective.room("dog " * 40)
    objective.positions = None
    assert objective.room("dog") == objective.max_length


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_out_of_range_is_refused(bundle, examples, smoothing):
    with pytest.raises(UsageError, match="denoising: expected label_smoothing"):
        prepared("denoising", bundle, examples, label_smoothing=smoothing)

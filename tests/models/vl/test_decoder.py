"""The decoder step by step; its numbers are tested in test_model.py."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError

from tests.models.vl.small import inputs, tiny


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_beams_that_change_places_go_on_from_the_past_they_took_over(family):
    model, batch = tiny(family), inputs(2)
    ids = torch.randint(10, 90, (4, 5))
    order = torch.tensor([1, 0, 3, 3])
    with torch.no_grad():
        encoded = model.encode(**batch)
        steps = model.start(encoded, 2, 5)
        for at in range(3):
            steps.step(ids[:, at])
        steps.reorder(order)
        found = [steps.step(ids[:, at]) for at in (3, 4)]
        past = torch.cat([ids[order, :3], ids[:, 3:]], 1)
        whole = model.decode(past, encoded.select(torch.tensor([0, 0, 1, 1])))
    torch.testing.assert_close(torch.stack(found, 1), whole[:, 3:], atol=1e-5, rtol=1e-5)


def test_examples_can_leave():
    model, batch = tiny(), inputs()
    ids = torch.randint(10, 90, (3, 4))
    kept = torch.tensor([0, 2])
    with torch.no_grad():
        encoded = model.encode(**batch)
        steps = model.start(encoded, 1, 4)
        steps.step(ids[:, 0])
        steps.select(kept)
        found = steps.step(ids[kept, 1])
        whole = model.decode(ids, encoded)
    torch.testing.assert_close(found, whole[kept, 1], atol=1e-5, rtol=1e-5)


def test_too_many_steps_are_refused():
    model = tiny()
    with torch.no_grad():
        encoded = model.encode(**inputs())
        steps = model.start(encoded, 1, 1)
        steps.step(torch.tensor([2, 2, 2]))
        with pytest.raises(UsageError, match="is full"):
            steps.step(torch.tensor([2, 2, 2]))
        with pytest.raises(UsageError, match="positions"):
            model.start(encoded, 1, 5000)
        with pytest.raises(UsageError, match="at least 1"):
            model.start(encoded, 0, 5)

"""What an objective may leave out, and what a joined one does in a single pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.objectives import OBJECTIVES
from ofakit.objectives.base import JoinedObjective, Objective
from ofakit.registry import Registry


class Least(Objective):
    """Has what an objective must have."""

    def normalizer(self, batch):
        return len(batch["x"])

    def __call__(self, model, batch, normalizer, step):
        return model(batch["x"]).sum() / normalizer, {}


class Seeing(Least):
    def view(self, example, rng):
        return {"x": torch.tensor(example)}


class Norms(JoinedObjective):
    """The length of the sum of all rows."""

    def represent(self, model, batch):
        return {"rows": model(batch["x"])}

    def loss(self, representations):
        rows = representations["rows"]
        return rows.sum(0).norm(), {"rows": len(rows)}


def test_an_objective_needs_a_normalizer_and_a_loss():
    with pytest.raises(TypeError, match="abstract.*__call__.*normalizer"):
        Objective()
    with pytest.raises(TypeError, match="abstract.*loss.*represent"):
        JoinedObjective()


def test_the_rest_does_nothing_unless_it_is_written(tmp_path):
    objective = Least()
    objective.prepare(["an example"], None, tmp_path)
    objective.begin(None, tmp_path, resumed=False)
    assert objective.one_example_per is None and not list(tmp_path.iterdir())
    assert objective.view("an example", np.random.default_rng(0)) == {}
    assert objective.complete(None, {"x": 1}, 0) == {}
    assert objective.learns_from({"x": 1}) and objective.learns_from({"task": "vqa"})
    objective.part = "caption"
    assert objective.learns_from({"task": "caption"}) and not objective.learns_from({"task": "vqa"})


def test_only_a_view_of_its_own_counts():
    assert [kind.has_view() for kind in (Least, Seeing, Norms)] == [False, True, False]
    seeing = {name for name in OBJECTIVES.names() if OBJECTIVES.get(name).has_view()}
    corrupting = {"denoising", "mlm", "span_corruption", "style_mlm"}
    assert seeing == corrupting | {"grounded_captioning", "itm", "photograph_matching", "visual_grounding"}


def test_a_joined_objective_takes_a_whole_batch_in_one_pass_and_is_never_divided():
    batch = {"x": torch.tensor([[3.0, 0.0], [0.0, 4.0]])}
    loss, logs = Norms()(torch.nn.Identity(), batch, normalizer=100.0, step=5)
    assert loss.item() == 5.0 and logs == {"rows": 2} and Norms().normalizer(batch) == 1


def test_every_member_is_an_objective():
    assert isinstance(OBJECTIVES, Registry)
    assert "base" not in OBJECTIVES.names() and len(OBJECTIVES.names()) >= 7
    assert all(issubclass(OBJECTIVES.get(name), Objective) for name in OBJECTIVES.names())

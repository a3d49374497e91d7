"""Objectives by the names under which they are logged."""

from __future__ import annotations

import pytest
from ofakit.errors import UsageError
from ofakit.trainers import Trainer
from ofakit.trainers.named_objectives import build_objectives


def built(config):
    bundle = Trainer(experiment=config, device="cpu").bundle
    return bundle, *build_objectives(config, bundle)


def test_each_has_its_name_and_its_weight_and_the_bundle_notes_the_types(experiment):
    named = [{"type": "cross_entropy", "name": "smooth", "weight": 0.5}, {"type": "mlm"}, {"type": "cross_entropy"}]
    bundle, objectives, weights = built(experiment(objectives=named))
    assert list(objectives) == ["smooth", "mlm", "cross_entropy"] and weights == [0.5, 1.0, 1.0]
    assert type(objectives["smooth"]) is type(objectives["cross_entropy"]) is not type(objectives["mlm"])
    assert bundle.objectives == ("cross_entropy", "mlm")


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        ([{"type": "cross_entropy"}] * 2, "two objectives are called 'cross_entropy'.*its own name"),
        ([{"type": "cross_entropy", "name": "smooth"}] * 2, "two objectives are called 'smooth'"),
        ([{"type": "cross_entropy"}, {"type": "mlm", "name": "cross_entropy"}], "two objectives are called"),
        ([{"type": "mlm", "name": "masked"}], "'mlm' adds data to each example.*leave out its name, 'masked'"),
        ([{"type": "cross_entropy", "name": "a/b"}], "a name without '/'"),
        ([{"type": "cross_entropy", "name": ""}], "a name without '/'"),
        ([{"type": "cross_entropy", "name": 3}], "'name' of objective 'cross_entropy': expected str, found 3"),
    ],
)
def test_names_that_do_not_tell_apart_are_refused(experiment, objectives, message):
    with pytest.raises(UsageError, match=message):
        built(experiment(objectives=objectives))


@pytest.mark.parametrize("kind", ["photograph_matching"])
def test_an_objective_of_another_kind_of_model_is_refused(experiment, kind):
    with pytest.raises(UsageError, match=f"'{kind}' trains a Retriever, found a OFAModel"):
        built(experiment(objectives=[{"type": kind}]))

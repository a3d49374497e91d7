"""A bundle under a task's name is what directories of that task become; weights are taken where ids mean the same."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, ModelBundle, load_bundle, save_bundle
from ofakit.hub import bundle as bundle_module
from ofakit.hub.bundle import CAPTIONING, bundle_kind

from tests.objectives.conftest import make_bundle


@pytest.fixture
def ranking(monkeypatch):
    """A bundle of a task of its own, known for the length of a test."""
    monkeypatch.setattr(bundle_module, "_KINDS", dict(bundle_module._KINDS))

    @dataclass
    class RankingBundle(ModelBundle, task="text-ranking"):
        temperature: float = 1.0

        def configuration(self):
            return {"task": self.task, "ofakit": {"temperature": self.temperature}}

        @classmethod
        def from_configuration(cls, model, tokenizer, configuration):
            return cls(model, tokenizer, configuration["ofakit"]["temperature"])

    return RankingBundle


def test_a_task_has_its_bundle(ranking):
    assert bundle_kind(CAPTIONING) is CaptionBundle and bundle_kind("text-ranking") is ranking
    with pytest.raises(UsageError, match="the task 'text-rankin' are not supported: did you mean 'text-ranking'"):
        bundle_kind("text-rankin")


def test_a_directory_comes_back_as_its_task_wrote_it(ranking, bundle, tmp_path):
    saved = ranking(bundle.model, bundle.tokenizer, 0.25, objectives=("itm",))
    found = load_bundle(save_bundle(saved, tmp_path / "model"))
    assert type(found) is ranking
    assert (found.temperature, found.objectives, found.model_type) == (0.25, ("itm",), "ofa")
    assert torch.equal(found.model.output_embedding, bundle.model.output_embedding)


def test_a_bundle_names_its_task_and_says_what_it_keeps(bundle):
    with pytest.raises(TypeError, match="task"):
        type("Nameless", (ModelBundle,), {})
    with pytest.raises(TypeError, match="abstract"):
        ModelBundle(bundle.model, bundle.tokenizer)


def test_weights_of_a_directory_are_taken_where_every_id_means_the_same(bundle, tmp_path):
    other = make_bundle()
    with torch.no_grad():
        other.model.output_embedding.add_(1.0)
    folder = save_bundle(other, tmp_path / "other")
    bundle.take_weights(folder)
    assert torch.equal(bundle.model.output_embedding, other.model.output_embedding)
    bundle.tokenizer.add_tokens(["<new>"])
    with pytest.raises(UsageError, match=f"vocabulary, found another in {folder}; .*--set model.path={folder}"):
        bundle.take_weights(folder)


def test_weights_without_a_vocabulary_only_have_to_fit(bundle, tmp_path):
    deeper = make_bundle(decoder_layers=2)
    torch.save(deeper.model.state_dict(), tmp_path / "weights.pt")
    with pytest.raises(UsageError, match="decoder"):
        bundle.take_weights(tmp_path / "weights.pt")
    bundle.take_weights(tmp_path / "weights.pt", allow_partial=True)
    assert torch.equal(bundle.model.output_embedding, deeper.model.output_embedding)

"""A model of several tasks is written and read with what each of them keeps."""

from __future__ import annotations

from dataclasses import replace

import torch
from ofakit.hub import load_bundle, save_bundle
from ofakit.hub.answer_bundle import AnswerBundle
from ofakit.hub.multitask_bundle import MultitaskBundle

from tests.objectives.conftest import make_bundle


def several():
    caption = replace(make_bundle(), objectives=("cross_entropy", "mlm"), model_task="caption")
    sizes = caption.preprocessor.model_copy(update={"prompt": "vqa: {}"})
    answers = AnswerBundle(
        caption.model, caption.tokenizer, None, sizes, candidates=("yes", "no"), model_task="vqa", objectives=("itm",)
    )
    return MultitaskBundle(caption.model, caption.tokenizer, bundles={"caption": caption, "vqa": answers})


def test_a_directory_gives_back_what_every_task_keeps(tmp_path):
    bundle = several()
    found = load_bundle(save_bundle(bundle, tmp_path / "model"))
    assert isinstance(found, MultitaskBundle) and list(found.bundles) == ["caption", "vqa"]
    caption, vqa = found.bundles.values()
    assert type(vqa) is AnswerBundle and vqa.candidates == ("yes", "no") and vqa.preprocessor.prompt == "vqa: {}"
    assert caption.styles.names == bundle.bundles["caption"].styles.names and caption.objectives[1] == "mlm"
    assert (caption.model_task, vqa.model_task, vqa.objectives) == ("caption", "vqa", ("itm",))
    assert caption.model is vqa.model is found.model and caption.tokenizer is found.tokenizer
    weights = bundle.model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in found.model.state_dict().items())


def test_what_may_not_change_is_that_of_every_task():
    fixed = several().fixed()
    assert fixed["vqa: preprocessor.prompt"] == "vqa: {}" and fixed["caption: the styles"] == [
        "code",
        "happy",
        "gloomy",
    ]


def test_one_of_the_tasks_has_a_directory_of_its_own(tmp_path):
    found = load_bundle(save_bundle(several().bundles["vqa"], tmp_path / "vqa"))
    assert type(found) is AnswerBundle and found.model_task == "vqa"

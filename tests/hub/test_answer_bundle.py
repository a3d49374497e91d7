"""What a model that answers keeps in its directory."""

from __future__ import annotations

import json

from ofakit.config.schema import PreprocessorSection
from ofakit.config.vqa import VqaSection
from ofakit.hub import AnswerBundle, load_bundle, save_bundle

from tests.objectives.conftest import bundle

__all__ = ["bundle"]


def test_a_directory_keeps_prompt_way_of_answering_and_closed_list(bundle, tmp_path):
    section = PreprocessorSection(prompt="vqa: {}", patch_image_size=64)
    vqa = VqaSection(inference="rank", answers=2)
    answering = AnswerBundle(
        bundle.model, bundle.tokenizer, None, section, bundle.generation, vqa, ("yes", "no, never"), objectives=("a",)
    )
    folder = save_bundle(answering, tmp_path / "model")
    found = load_bundle(folder)
    assert isinstance(found, AnswerBundle) and found.preprocessor == section and found.vqa == vqa
    assert found.candidates == ("yes", "no, never") and found.objectives == ("a",)
    written = json.loads((folder / "configuration.json").read_text())
    assert written["task"] == "visual-question-answering" and "pipeline" not in written


def test_answers_keep_their_punctuation(bundle):
    answering = AnswerBundle(bundle.model, bundle.tokenizer, None, PreprocessorSection(strip_punctuation=True))
    codec = answering.codec()
    assert codec.tokenizer.decode(codec.caption("3.5 Dogs")) == " 3.5 dogs"

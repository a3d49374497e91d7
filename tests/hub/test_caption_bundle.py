"""What a captioning directory says: ours in a section of its own, and stock keys for the stock code."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ofakit.config.schema import GenerationSection, PreprocessorSection
from ofakit.errors import UsageError
from ofakit.hub.caption_bundle import CaptionBundle, stock_model_section
from ofakit.models.base import Model
from ofakit.text import StyleSet
from pydantic import ValidationError


def test_the_configuration_comes_back_as_it_was(bundle):
    bundle.preprocessor = PreprocessorSection(prompt=" what, {}?", patch_image_size=32, max_image_size=40)
    bundle.generation = GenerationSection(num_beams=3, rerank="itm")
    found = CaptionBundle.from_configuration(bundle.model, bundle.tokenizer, bundle.configuration())
    assert (found.preprocessor, found.generation) == (bundle.preprocessor, bundle.generation)
    assert found.styles.to_dict() == bundle.styles.to_dict()
    assert (found.model, found.tokenizer) == (bundle.model, bundle.tokenizer)


@pytest.mark.parametrize(
    "change, key",
    [
        ({"styles": None}, "the styles"),
        ({"styles": StyleSet(["b", "a"])}, "the styles"),
        ({"styles": StyleSet(["a", "b"], mode="plain")}, "the styles"),
        ({"preprocessor": PreprocessorSection(prompt=" what?")}, "preprocessor.prompt"),
        ({"preprocessor": PreprocessorSection(patch_image_size=32)}, "preprocessor.patch_image_size"),
        ({"preprocessor": PreprocessorSection(max_image_size=300)}, "preprocessor.max_image_size"),
        ({"preprocessor": PreprocessorSection(mean_std="imagenet")}, "preprocessor.mean_std"),
    ],
)
def test_what_a_resumed_run_must_have_as_before(bundle, change, key):
    usual = replace(bundle, styles=StyleSet(["a", "b"]), preprocessor=PreprocessorSection())
    known = usual.fixed()
    assert json.loads(json.dumps(known)) == known and known["the vocabulary"] == bundle.tokenizer.fingerprint()
    found = replace(usual, **change).fixed()
    assert [name for name in known if found[name] != known[name]] == [key]
    assert replace(usual, generation=GenerationSection(num_beams=2)).fixed() == known


def test_a_model_that_writes_no_sequences_is_refused(bundle):
    class Vectors(Model):
        parts = save_pretrained = None

    with pytest.raises(UsageError, match="a model of type 'retriever' does not write captions; choose another"):
        replace(bundle, model=Vectors(), model_type="retriever")


def test_a_model_without_styles_has_none(bundle):
    plain = replace(bundle, styles=None)
    assert plain.configuration()["ofakit"]["style"] is None
    assert CaptionBundle.from_configuration(bundle.model, bundle.tokenizer, plain.configuration()).styles is None


def test_modelscope_is_told_what_builds_model_preprocessor_and_pipeline(bundle):
    found = bundle.configuration()
    assert (found["task"], found["framework"]) == ("image-captioning", "pytorch")
    types = [found[name]["type"] for name in ("model", "preprocessor", "pipeline")]
    assert types == ["ofakit-ofa", "ofakit-caption", "ofakit-caption"]
    assert replace(bundle, model_type="other").configuration()["model"]["type"] == "ofakit-other"


def test_the_stock_section_has_the_stock_names(bundle):
    bundle.preprocessor = PreprocessorSection(patch_image_size=32, max_image_size=48, mean_std="imagenet")
    bundle.generation = GenerationSection(
        num_beams=3, max_length=9, min_length=2, no_repeat_ngram_size=4, length_penalty=0.5
    )
    assert stock_model_section(bundle) == {
        "language": "en",
        "gen_type": "generation",
        "max_src_length": 80,
        "patch_image_size": 32,
        "max_image_size": 48,
        "imagenet_default_mean_and_std": True,
        "beam_search": {"beam_size": 3, "max_len_b": 9, "min_len": 2, "no_repeat_ngram_size": 4, "len_penalty": 0.5},
    }
    bundle.preprocessor.prompt = " what, {}?"
    assert stock_model_section(bundle)["prompt"] == " what, {}?"


def test_a_stock_configuration_is_read_by_its_own_keys(bundle):
    stock = {"model": {"prompt": " what?", "patch_image_size": 64, "beam_search": {"beam_size": 7, "max_len_b": 11}}}
    found = CaptionBundle.from_configuration(bundle.model, bundle.tokenizer, stock)
    sizes = found.preprocessor
    assert (sizes.prompt, sizes.patch_image_size, sizes.max_image_size, sizes.mean_std) == (" what?", 64, None, "half")
    assert (found.generation.num_beams, found.generation.max_length) == (7, 11) and found.styles is None


def test_a_directory_that_says_nothing_is_a_stock_one_of_480_pixels(bundle):
    found = CaptionBundle.from_configuration(bundle.model, bundle.tokenizer, {})
    assert found.preprocessor.patch_image_size == 480 and found.generation == GenerationSection()


def test_a_value_out_of_range_is_refused(bundle):
    wrong = {"ofakit": {"generation": {"num_beams": 0}}}
    with pytest.raises(ValidationError, match="num_beams"):
        CaptionBundle.from_configuration(bundle.model, bundle.tokenizer, wrong)


def test_the_codec_is_that_of_its_section_and_styles(bundle):
    bundle.preprocessor = PreprocessorSection(lowercase=False, strip_punctuation=False, leading_space=False)
    codec = bundle.codec()
    assert codec.texts([codec.caption("A Dog, red!")]) == ["A Dog, red!"]
    assert codec.style("gloomy") == bundle.styles.text("gloomy")

"""A plain directory is what the stock code takes: its one prompt, its names, and all of its tokens."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from ofakit.config.schema import PreprocessorSection
from ofakit.errors import UsageError
from ofakit.hub import CaptionBundle, load_bundle
from ofakit.hub.plain import export_plain
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.text import StyleSet, train_tokenizer

from tests.objectives.conftest import NETWORK


@pytest.fixture(scope="module")
def full():
    """A tiny model with all the codes and bins that the stock tokenizer adds."""
    tokenizer = train_tokenizer([" what does the image describe? a dog"] * 4, 300, num_codes=8192, num_bins=1000)
    torch.manual_seed(0)
    model = OFAModel(OFAConfig.from_size("tiny", vocab_size=len(tokenizer), **NETWORK))
    return CaptionBundle(model, tokenizer, StyleSet(["happy", "gloomy"]), PreprocessorSection(patch_image_size=32))


def model_section(folder):
    return json.loads((folder / "configuration.json").read_text())["model"]


def test_the_style_is_written_into_the_one_prompt(full, tmp_path):
    folder = export_plain(full, tmp_path / "plain", "GLOOMY")
    section = model_section(folder)
    assert section["prompt"] == " what does the image describe? reply in personality <code_1>."
    assert (section["type"], section["patch_image_size"], section["max_image_size"]) == ("ofa", 32, 32)
    found = load_bundle(folder)
    assert found.styles is None and found.preprocessor.prompt == section["prompt"]
    assert torch.equal(found.model.output_embedding, full.model.output_embedding)
    assert found.tokenizer.first_difference(full.tokenizer) is None
    source = full.codec().source(section["prompt"])
    assert found.codec().source(found.preprocessor.prompt).tolist() == source.tolist()


def test_a_prompt_of_its_own_gets_the_style_too(full, tmp_path):
    own = replace(full, preprocessor=PreprocessorSection(prompt=" say it {}.", patch_image_size=32))
    assert model_section(export_plain(own, tmp_path / "plain", "happy"))["prompt"] == " say it <code_0>."


@pytest.mark.parametrize("styles", [None, StyleSet(["happy"])])
def test_no_style_is_needed_where_the_prompt_has_no_place_for_one(full, tmp_path, styles):
    own = replace(full, styles=styles, preprocessor=PreprocessorSection(prompt=" say it.", patch_image_size=32))
    assert model_section(export_plain(own, tmp_path / "plain"))["prompt"] == " say it."


def test_the_stock_prompt_is_left_to_the_stock_code(full, tmp_path):
    assert "prompt" not in model_section(export_plain(replace(full, styles=None), tmp_path / "plain"))


def test_what_the_stock_code_cannot_load_is_refused(full, bundle, tmp_path):
    with pytest.raises(UsageError, match="choose one of the styles happy, gloomy"):
        export_plain(full, tmp_path / "plain")
    with pytest.raises(UsageError, match="style.mode 'code' or 'plain'"):
        export_plain(replace(full, styles=StyleSet(["happy"], mode="new")), tmp_path / "plain", "happy")
    with pytest.raises(UsageError, match="without 9184 of them, such as <code_8>.*num_codes=8192.*num_bins=1000"):
        export_plain(bundle, tmp_path / "plain", "happy")
    with pytest.raises(UsageError, match="supports OFA only, found a model of type 'other'"):
        export_plain(replace(full, model=torch.nn.Linear(1, 1), model_type="other"), tmp_path / "plain", "happy")
    assert not (tmp_path / "plain").exists()

"""A stock ModelScope directory in the stock pipeline's name, without what ModelScope's own OFA needs."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import types

import ofakit.modelscope
import pytest
import torch
from modelscope.pipelines import pipeline
from modelscope.pipelines.builder import PIPELINES
from ofakit.errors import OfakitError, UsageError
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.checkpoints import save_modelscope
from ofakit.pipelines import stock_captioning
from ofakit.text import train_tokenizer
from PIL import Image

NEEDED = ("fairseq", "open_clip", "librosa", "torchaudio", "decord")
CONFIGURATION = {
    "framework": "pytorch",
    "task": "image-captioning",
    "model": {
        "type": "ofa", "language": "en", "gen_type": "generation", "patch_image_size": 32, "max_image_size": 64,
        "num_return_sequences": 2,
        "beam_search": {"beam_size": 3, "max_len_b": 6, "min_len": 1, "no_repeat_ngram_size": 3},
    },
    "preprocessor": {"type": "ofa-tasks-preprocessor"},
    "pipeline": {"type": "image-captioning"},
    "dataset": {"column_map": {"image": "picture", "text": "text"}},
}  # fmt: skip


def write_stock(folder, **model):
    """A directory of the stock layout."""
    tokenizer = train_tokenizer([" a red circle", " what does the image describe?"] * 3, 300, num_codes=8, num_bins=0)
    torch.manual_seed(0)
    config = OFAConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, resnet_type="resnet18",
    )  # fmt: skip
    save_modelscope(OFAModel(config), folder)
    tokenizer.save_pretrained(folder)
    (folder / "configuration.json").write_text(
        json.dumps({**CONFIGURATION, "model": {**CONFIGURATION["model"], **model}})
    )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_stock(tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def captioner(folder):
    return pipeline("image-captioning", model=str(folder), device="cpu")


@pytest.fixture
def photo(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_a_stock_directory_is_captioned_without_the_packages_of_the_stock_code(folder, photo):
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({NEEDED}))\n"
        "import ofakit.modelscope\n"
        "from modelscope.pipelines import pipeline\n"
        f"print(pipeline('image-captioning', model={str(folder)!r}, device='cpu')({str(photo)!r})['caption'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(eval(done.stdout.splitlines()[-1])) == 2


def test_settings_are_those_of_the_directory(captioner, photo):
    assert captioner.captioner.settings["num_beams"] == 3 and captioner.captioner.settings["max_length"] == 6
    assert captioner.model.bundle.preprocessor.patch_image_size == 32
    row = captioner(str(photo))
    assert len(row["caption"]) == len(row["scores"]) == 2 and row["scores"][0] >= row["scores"][1]


def test_every_form_of_an_image_gives_the_same_caption(captioner, photo):
    expected = captioner(str(photo))
    forms = [
        photo, photo.read_bytes(), io.BytesIO(photo.read_bytes()), Image.open(photo), {"picture": str(photo)},
        {"image": str(photo)}, photo.as_posix(),
    ]  # fmt: skip
    for form in forms:
        assert captioner(form) == expected


def test_a_list_is_answered_image_by_image_and_a_folder_by_its_files(captioner, photo, tmp_path):
    Image.new("L", (9, 9), 40).save(tmp_path / "dark.png")
    one, other = captioner(str(photo)), captioner(str(tmp_path / "dark.png"))
    assert captioner([str(photo), str(tmp_path / "dark.png")]) == [one, other]
    of_folder = captioner(str(tmp_path))
    assert [row.pop("image") for row in of_folder] == [str(tmp_path / "dark.png"), str(photo)]
    assert of_folder == [other, one]


def test_an_address_that_is_not_there_is_an_error_of_its_own_entry(captioner, photo):
    gone = "http://127.0.0.1:9/a.png"
    rows = captioner([gone, str(photo)])
    assert "could not be fetched" in rows[0]["error"] and rows[0]["caption"] == []
    assert rows[1] == captioner(str(photo))
    with pytest.raises(OfakitError, match=r"127.0.0.1:9/a.png: could not be fetched"):
        captioner(gone)


def test_generation_keys_act_by_our_names_and_the_stock_ones(captioner, folder, photo):
    greedy = captioner(str(photo), num_beams=1, num_return_sequences=1, max_length=3)
    assert greedy == captioner(str(photo), beam_size=1, num_return_sequences=1, max_len_b=3)
    assert greedy != captioner(str(photo)) and len(greedy["caption"]) == 1
    made = pipeline("image-captioning", model=str(folder), device="cpu", beam_size=1, num_return_sequences=1)
    assert made(str(photo), max_length=3) == greedy
    assert [captioner([str(photo)], num_return_sequences=n)[0]["caption"] for n in (2, 1)] == [
        captioner(str(photo))["caption"], captioner(str(photo))["caption"][:1],
    ]  # fmt: skip


def test_keys_that_mean_nothing_are_refused(captioner, photo):
    with pytest.raises(UsageError, match="unknown argument 'num_beam': did you mean 'num_beams'"):
        captioner(str(photo), num_beam=3)
    with pytest.raises(UsageError, match="num_beams: expected an integer of at least 1, found 0"):
        captioner(str(photo), beam_size=0)
    with pytest.raises(UsageError, match="expected an image under 'image', found the keys text"):
        captioner({"text": "a"})


def test_punctuation_goes_from_english_and_spaces_from_chinese(captioner, monkeypatch):
    from ofakit.inference.captioner import CaptionResult
    from ofakit.inference.captions import Caption

    result = CaptionResult("a dog, running.", -1.0, None, alternatives=(Caption("a cat.", -2.0),))
    assert captioner._row(result)["caption"] == ["a dog running", "a cat"]
    monkeypatch.setattr(captioner, "is_stock", False)
    assert captioner._row(result)["caption"] == ["a dog, running.", "a cat."]


@pytest.fixture
def stock_module(monkeypatch):
    """Stands for ModelScope's file, which registers its class without force."""
    module = types.ModuleType("stock_for_test")

    class ImageCaptioningPipeline:
        def __init__(self, **arguments):
            self.arguments = arguments

    def imported(name):
        assert name == "modelscope.pipelines.multi_modal.image_captioning_pipeline"
        if not hasattr(module, "ImageCaptioningPipeline"):
            PIPELINES.register_module("image-captioning", module_name="image-captioning")(ImageCaptioningPipeline)
            module.ImageCaptioningPipeline = ImageCaptioningPipeline
        return module

    monkeypatch.setattr(stock_captioning.importlib, "import_module", imported)
    return module


def test_other_models_get_modelscopes_own_pipeline(stock_module, tmp_path):
    other = tmp_path / "mplug"
    other.mkdir()
    (other / "configuration.json").write_text(json.dumps({**CONFIGURATION, "model": {"type": "mplug"}}))
    build = stock_captioning.StockCaptionPipeline._instantiate
    for _ in range(2):
        made = build(model=str(other), device="cpu")
        assert type(made) is stock_module.ImageCaptioningPipeline and made.arguments["model"] == str(other)
        found = PIPELINES.get("image-captioning", "image-captioning")
        assert found is stock_captioning.StockCaptionPipeline


def test_our_name_stays_where_modelscopes_file_cannot_be_imported(monkeypatch):
    def refuse(name):
        raise RuntimeError("No module named 'open_clip'")

    monkeypatch.setattr(stock_captioning.importlib, "import_module", refuse)
    with pytest.raises(RuntimeError, match="open_clip"):
        stock_captioning.StockCaptionPipeline._instantiate(model=object())
    assert PIPELINES.get("image-captioning", "image-captioning") is stock_captioning.StockCaptionPipeline
    ofakit.modelscope.register()

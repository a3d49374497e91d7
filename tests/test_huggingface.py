"""`import ofakit.huggingface` lets the Auto classes read what ofakit writes and what was released."""

from __future__ import annotations

import json

import ofakit.huggingface
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import export_huggingface, load_bundle
from ofakit.huggingface import OFAForConditionalGeneration, OFAHuggingFaceConfig, OFATokenizerFast
from ofakit.inference.captioner import Captioner
from ofakit.models.ofa.checkpoints import save_modelscope
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText, AutoTokenizer, PreTrainedModel

from tests.objectives.conftest import make_bundle


@pytest.fixture(scope="module")
def bundle():
    made = make_bundle()
    made.generation.max_length = 6
    made.model.eval()
    return made


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    """What `ofakit checkpoint convert --to huggingface` writes."""
    return export_huggingface(bundle, tmp_path_factory.mktemp("models") / "hf")


@pytest.fixture(scope="module")
def released(bundle, tmp_path_factory):
    """The four files of a released directory, and the added tokens of the small vocabulary."""
    folder = tmp_path_factory.mktemp("models") / "ofa-tiny"
    save_modelscope(bundle.model, folder)
    bundle.tokenizer.save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "pytorch_model.bin", "vocab.json", "merges.txt", "added_tokens.json",
    }  # fmt: skip
    return folder


@pytest.fixture(scope="module", params=["folder", "released"])
def both(request):
    return request.getfixturevalue(request.param)


def images(count=2):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_auto_classes_find_ours(both):
    config = AutoConfig.from_pretrained(both)
    assert type(config) is OFAHuggingFaceConfig and config.hidden_size == config.d_model
    for auto in (AutoModel, AutoModelForImageTextToText):
        model = auto.from_pretrained(both)
        assert type(model) is OFAForConditionalGeneration and isinstance(model, PreTrainedModel)
        assert not model.training
    assert AutoModel.from_pretrained(both, dtype="bfloat16").dtype == torch.bfloat16


def test_the_tokenizer_of_a_released_directory_is_ours(bundle, released, folder):
    tokenizer = AutoTokenizer.from_pretrained(released)
    assert type(tokenizer) is OFATokenizerFast
    text = " what does the image describe? <code_2>"
    expected = [bundle.tokenizer.bos_token_id, *bundle.tokenizer.encode(text), bundle.tokenizer.eos_token_id]
    assert tokenizer(text).input_ids == AutoTokenizer.from_pretrained(folder)(text).input_ids == expected
    assert tokenizer.decode(expected, skip_special_tokens=True) == text


def test_logits_and_loss_are_ours(bundle, both):
    model, tokenizer = AutoModel.from_pretrained(both), AutoTokenizer.from_pretrained(both)
    ids = torch.tensor([tokenizer(" a dog").input_ids] * 2)
    labels = torch.tensor([[7, 8, 2], [9, 2, -100]])
    shifted = torch.tensor([[0, 7, 8], [0, 9, 2]])
    out = model(input_ids=ids, pixel_values=images(), labels=labels)
    expected = bundle.model(ids, images(), decoder_input_ids=shifted).logits
    torch.testing.assert_close(out.logits, expected)
    assert out.logits.shape == (2, 3, len(tokenizer))
    per_token = torch.log_softmax(expected, -1).flatten(0, 1)[torch.arange(5), labels.flatten()[:5]]
    torch.testing.assert_close(out.loss, -per_token.mean())
    model.train()
    model(input_ids=ids, patch_images=images(), labels=labels).loss.backward()
    assert all(p.grad is not None for p in model.network.decoder.layers.parameters())


def test_generated_captions_are_those_of_the_captioner(bundle, folder):
    captioner = Captioner(bundle, "cpu")
    rng = torch.Generator().manual_seed(1)
    size = bundle.preprocessor.patch_image_size
    pixels = torch.randint(0, 256, (size, size, 3), dtype=torch.uint8, generator=rng)
    style = bundle.styles.names[1]
    expected = captioner.caption([pixels.numpy()], [style])[0].caption

    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(model.prompt(style), return_tensors="pt").input_ids
    values = (pixels.permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5
    found = model.generate(ids, patch_images=values)
    assert tokenizer.batch_decode(found, skip_special_tokens=True)[0].strip() == expected


def test_lengths_count_as_in_transformers(folder):
    model = AutoModel.from_pretrained(folder)
    ids = torch.tensor([[0, 9, 2]] * 2)
    several = model.generate(ids, pixel_values=images(), max_new_tokens=4, num_return_sequences=2, min_new_tokens=3)
    assert several.shape == (4, 5) and (several[:, 0] == 0).all()
    whole = model.generate(input_ids=ids, patch_images=images(), max_length=5, num_return_sequences=2, min_new_tokens=3)
    assert torch.equal(several, whole)
    with pytest.raises(UsageError, match="unknown generation setting 'num_beam': did you mean 'num_beams'"):
        model.generate(ids, num_beam=2)


def test_what_is_saved_there_is_the_same_model_with_its_styles(bundle, folder, tmp_path):
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        model.network.decoder.layers[0].fc1.bias += 1
    model.generation_config.num_beams = 2
    model.save_pretrained(tmp_path)
    found = load_bundle(tmp_path)
    assert found.styles.names == bundle.styles.names
    again = AutoModel.from_pretrained(tmp_path)
    assert again.generation_config.num_beams == 2 and again.prompt(bundle.styles.names[0]) == model.prompt(
        bundle.styles.names[0]
    )
    own = model.state_dict()
    assert all(torch.equal(value, own[name]) for name, value in again.state_dict().items())
    fresh = AutoModel.from_config(model.config)
    assert fresh.num_parameters() == model.num_parameters()
    with pytest.raises(UsageError, match="has no tokenizer; set model.bundle"):
        fresh.save_pretrained(tmp_path / "fresh")


def test_a_model_without_styles_is_asked_for_none(released):
    model = AutoModel.from_pretrained(released)
    assert model.prompt() == " what does the image describe?"
    with pytest.raises(UsageError, match="trained without styles, found 'pirate'"):
        model.prompt("pirate")


def test_unknown_keys_of_a_configuration_are_kept(released, tmp_path):
    config = AutoConfig.from_pretrained(released)
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["model_type"], written["d_model"]) == ("ofa", config.d_model)
    assert AutoConfig.from_pretrained(tmp_path).network() == config.network()


def test_to_register_twice_changes_nothing():
    ofakit.huggingface.register()
    assert AutoConfig.for_model("ofa").model_type == "ofa"

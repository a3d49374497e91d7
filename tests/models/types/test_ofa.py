"""OFA from a configuration, and from and to a model directory."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.models.base import Model
from ofakit.models.model_type import ModelType
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.ofa.checkpoints import save_fairseq
from ofakit.models.types import MODELS
from ofakit.text import OFATokenizer
from torch import nn

from tests.models.ofa.small import SMALL, build

TEXTS = [" a calm dog by the sea", " a wild dog in the sea"] * 4
TOKENIZER = {"train_vocab_size": 300, "num_codes": 8, "num_bins": 2}


def section(**keys) -> ModelSection:
    return ModelSection(**{"tokenizer": TOKENIZER, "config": SMALL, **keys})


@pytest.fixture
def kind() -> ModelType:
    return MODELS.build({"type": "ofa"})


@pytest.fixture
def tokenizer(kind):
    return kind.tokenizer(section(), TEXTS)


def special(tokenizer) -> tuple[int, int, int]:
    return tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id


def test_a_member_keeps_the_contract(kind):
    assert MODELS.names() == ["ofa", "retriever", "shared", "vl"]
    assert isinstance(kind, ModelType) and issubclass(OFAModel, Model)
    with pytest.raises(UsageError, match="unknown model 'off': did you mean 'ofa'"):
        MODELS.build({"type": "off"})


def test_a_vocabulary_is_trained_on_the_texts(kind, tokenizer):
    pieces = [tokenizer.id_to_token(i) for i in tokenizer.encode(" dog sea")]
    assert pieces == ["Ġdog", "Ġsea"]
    assert tokenizer.token_to_id("<code_7>") is not None and tokenizer.token_to_id("<code_8>") is None
    assert tokenizer.token_to_id("<bin_1>") == len(tokenizer) - 1


def test_a_vocabulary_is_read_and_must_be_of_the_language(kind, tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    read = section(tokenizer={"path": str(tmp_path)})
    assert kind.tokenizer(read, []).first_difference(tokenizer) is None
    with pytest.raises(UsageError, match="model.language is 'zh', but the vocabulary in .* is 'en'"):
        kind.tokenizer(read.model_copy(update={"language": "zh"}), [])


@pytest.mark.parametrize("keys", [{"tokenizer": {}}, {"language": "zh"}])
def test_no_vocabulary_is_refused(kind, keys):
    with pytest.raises(UsageError, match="needs a vocabulary: set model.tokenizer.path"):
        kind.tokenizer(section(**keys), TEXTS)


def test_a_model_of_a_size_has_the_vocabulary_and_its_special_tokens(kind):
    chinese = OFATokenizer({token: number for number, token in enumerate(["[PAD]", "a", "b"])}, None)
    assert special(chinese) != (0, 1, 2)
    model = kind.build(section(config={**{k: v for k, v in SMALL.items() if k != "vocab_size"}}), chinese)
    assert len(model.output_embedding) == len(chinese)
    assert model.special_tokens == special(chinese)
    config = model.config
    assert (config.decoder_start_token_id, config.forced_eos_token_id) == (chinese.bos_token_id, chinese.eos_token_id)
    assert config.d_model == 32


def test_the_network_is_that_of_the_size_where_nothing_overrides(kind, tokenizer):
    with torch.device("meta"):
        config = kind.build(ModelSection(size="medium"), tokenizer).config
    medium = OFAConfig.from_size("medium")
    assert (config.d_model, config.resnet_type, config.encoder_layers) == (512, "resnet101", medium.encoder_layers)


def test_weights_of_a_file_come_with_its_network(kind, tokenizer, tmp_path):
    theirs = build(3, d_model=16)
    save_fairseq(theirs, tmp_path / "model.pt")
    model = kind.build(section(path=str(tmp_path / "model.pt"), config={"dropout": 0.4}), tokenizer)
    assert (model.config.d_model, model.config.dropout, model.config.vocab_size) == (16, 0.4, 60)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in model.state_dict().items())


def test_weights_that_do_not_fit_the_overridden_network_are_refused_unless_partial(kind, tokenizer, tmp_path):
    save_fairseq(build(3), tmp_path / "model.pt")
    deeper = {"path": str(tmp_path / "model.pt"), "config": {"encoder_layers": 3}}
    with pytest.raises(UsageError, match=r"missing: .*encoder\.layers\.2\.fc1"):
        kind.build(section(**deeper), tokenizer)
    model = kind.build(section(**deeper, allow_partial=True), tokenizer)
    assert torch.equal(model.encoder.layers[1].fc1.weight, build(3).encoder.layers[1].fc1.weight)


@pytest.mark.parametrize(
    ("keys", "key", "message"),
    [
        ({"d_modle": 32}, "d_modle", "unknown key 'model.config.d_modle': did you mean 'd_model'"),
        ({"d_model": "x"}, "d_model", "expected int, found 'x'"),
    ],
)
def test_a_wrong_key_is_named_so_that_its_file_can_be(kind, tokenizer, keys, key, message):
    with pytest.raises(UsageError, match=message) as caught:
        kind.build(section(config=keys), tokenizer)
    assert caught.value.key == key


def test_a_directory_there_and_back(kind, tokenizer, tmp_path):
    model = kind.build(section(config={**SMALL, "vocab_size": len(tokenizer)}), tokenizer)
    kind.save(model, tokenizer, tmp_path / "model")
    again, read = kind.load(tmp_path / "model")
    assert read.first_difference(tokenizer) is None and not again.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    assert again.config == model.config.replace()
    assert kind.read_tokenizer(tmp_path / "model").encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


def test_weights_are_loaded_into_a_model(kind, tmp_path):
    save_fairseq(build(3), tmp_path / "model.pt")
    model = build(4)
    assert kind.load_weights(model, tmp_path / "model.pt") == ([], [])
    assert torch.equal(model.output_embedding, build(3).output_embedding)
    with pytest.raises(UsageError, match="does not fit the model"):
        kind.load_weights(build(4, encoder_layers=3), tmp_path / "model.pt")
    missing, unexpected = kind.load_weights(build(4, encoder_layers=3), tmp_path / "model.pt", allow_partial=True)
    assert unexpected == [] and all(name.startswith("encoder.") and ".2." in name for name in missing)
    with pytest.raises(UsageError, match="expected an OFA model .* found a Linear"):
        kind.load_weights(nn.Linear(1, 1), tmp_path / "model.pt")

"""VL-T5 and VL-BART from a configuration, and from and to a model directory."""

from __future__ import annotations

import pytest
import torch
from ofakit.config.schema import ModelSection
from ofakit.errors import UsageError
from ofakit.hub.directory import load_bundle
from ofakit.models.types import MODELS
from ofakit.models.types._vl_vocabulary import read_vocabulary
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.trainers.state import save_state
from torch.nn import functional as F

from tests.text.small_t5 import write_t5_vocabulary

TEXTS = [" a calm dog by the sea", " a wild dog in the sea"] * 4
SMALL = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40,
         "encoder_attention_heads": 2, "decoder_attention_heads": 2, "feat_dim": 6}  # fmt: skip


def section(**keys) -> ModelSection:
    tokenizer = {"train_vocab_size": 300, "num_codes": 4, "num_bins": 0}
    return ModelSection(**{"type": "vl", "tokenizer": tokenizer, "config": SMALL, **keys})


@pytest.fixture
def kind():
    return MODELS.build({"type": "vl"})


@pytest.fixture
def tokenizer(kind):
    return kind.tokenizer(section(), TEXTS)


def test_the_last_token_is_that_of_the_first_region(tokenizer):
    size = len(tokenizer)
    assert tokenizer.token_to_id("<vis_extra_id_0>") == size - 1
    assert tokenizer.token_to_id("<vis_extra_id_99>") == size - 100
    assert tokenizer.token_to_id("<extra_id_0>") == size - 101


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_model_has_the_tokenizers_ids(kind, tokenizer, family):
    model = kind.build(section(config={**SMALL, "model_type": family}), tokenizer)
    special = model.special_tokens
    assert special == (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    assert model.search_rules.forced_eos == (family == "bart") and model.reads_regions
    assert len(model.output_embedding) == len(tokenizer)


def test_a_file_with_more_rows_keeps_them(kind, tokenizer, tmp_path):
    first = kind.build(section(), tokenizer)
    first.resize_token_embeddings(len(tokenizer) + 3)
    torch.save(first.stock_state_dict(), tmp_path / "Epoch30.pth")
    again = kind.build(section(path=str(tmp_path / "Epoch30.pth")), tokenizer)
    assert torch.equal(again.shared.weight, first.shared.weight)


def test_a_directory_is_read_back(kind, tokenizer, tmp_path):
    model = kind.build(section(), tokenizer).eval()
    kind.save(model, tokenizer, tmp_path)
    again, read = kind.load(tmp_path)
    assert read.first_difference(tokenizer) is None
    inputs = {
        "input_ids": torch.tensor([[0, 9, 2]]),
        "vis_feats": torch.rand(1, 3, 6),
        "labels": torch.tensor([[7, 2]]),
    }
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_a_directory_of_hugging_faces_bart_is_known_by_its_configuration(kind, tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40}
    config = transformers.BartConfig(vocab_size=len(tokenizer), encoder_attention_heads=2, decoder_attention_heads=2,
                                     **sizes)  # fmt: skip
    transformers.BartForConditionalGeneration(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    bundle = load_bundle(tmp_path)
    assert bundle.model_type == "vl"
    assert bundle.model.special_tokens.bos == tokenizer.bos_token_id
    ids, states = torch.tensor([[0, 9, 2]]), bundle.model.shared.weight.clone()
    kind.train_as(bundle.model, section(config={"feat_dim": 5}))  # its projection of regions starts anew
    assert bundle.model.config.feat_dim == 5 and torch.equal(bundle.model.shared.weight, states)
    assert torch.isfinite(bundle.model.encode(ids, vis_feats=torch.rand(1, 3, 5)).last_hidden_state).all()
    bundle.model.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"taught with features of 5 numbers \(feat_dim\), and these have 7"):
        kind.train_as(kind.load(tmp_path)[0], section(config={"feat_dim": 7}))


def test_bad_keys_are_refused(kind, tokenizer):
    with pytest.raises(UsageError, match=r"unknown key 'model\.config\.d_modle': did you mean 'd_model'"):
        kind.build(section(config={"d_modle": 3}), tokenizer)
    with pytest.raises(UsageError, match="unknown size 'bart-huge'"):
        kind.build(section(size="huge"), tokenizer)
    with pytest.raises(UsageError, match="needs a vocabulary"):
        kind.tokenizer(ModelSection(type="vl"), TEXTS)


def test_a_start_with_a_bias_of_logits_is_trained_with_it(kind, tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 40, "decoder_ffn_dim": 40}
    config = transformers.BartConfig(vocab_size=len(tokenizer) - 200, encoder_attention_heads=2,
                                     decoder_attention_heads=2, dropout=0.0, **sizes)  # fmt: skip
    network = transformers.BartForConditionalGeneration(config)
    bias = network.final_logits_bias.normal_()
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    wanted = ModelSection(type="vl", path=str(tmp_path), config={"feat_dim": 6})
    model = kind.build(wanted, kind.tokenizer(wanted, ()))
    kind.train_as(model, wanted)
    rows = bias.shape[1]
    assert torch.equal(model.output_bias[:rows], bias[0]) and not model.output_bias[rows:].any()
    ids = torch.tensor([[0, 9, 2]])
    batch = {"input_ids": ids, "decoder_input_ids": ids, "target": torch.tensor([[9, 7, 2]])}
    loss, logs = CrossEntropy(label_smoothing=0.0)(model.eval(), batch, 3, 0)
    labels = F.pad(network.eval()(input_ids=ids, decoder_input_ids=ids).logits, (0, len(tokenizer) - rows), value=-99)
    expected = F.cross_entropy(labels[0], batch["target"][0])
    others = model(input_ids=ids, decoder_input_ids=ids).logits[0, :, rows:].logsumexp(-1)  # rows that BART has not
    normal = torch.logaddexp(labels[0].logsumexp(-1), others) - labels[0].logsumexp(-1)
    torch.testing.assert_close(loss, expected + normal.mean())
    loss.backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    assert torch.equal(model.output_bias[:rows], bias[0])  # a buffer, which no optimizer changes
    kind.save(model, tokenizer, tmp_path / "saved")
    (tmp_path / "step_1").mkdir()
    save_state(tmp_path / "step_1", model, torch.optim.SGD(model.parameters(), 0.1), {"iter": 1})
    other = kind.load(tmp_path / "saved")[0]
    assert torch.equal(other.output_bias, model.output_bias)
    fresh = kind.build(section(config={**SMALL, "d_model": 32}), tokenizer)
    assert fresh.output_bias is None
    kind.load_weights(fresh, tmp_path / "step_1")
    assert torch.equal(fresh.output_bias, model.output_bias)


@pytest.fixture
def t5(tmp_path):
    return write_t5_vocabulary(tmp_path / "t5")


def write_network(folder, **keys):
    """A T5 of Hugging Face with its vocabulary, of 12 rows more than that has."""
    transformers = pytest.importorskip("transformers")
    rows = len(read_vocabulary(folder)) - 100 + 12
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 40, "num_layers": 1, "num_heads": 2}
    config = transformers.T5Config(vocab_size=rows, decoder_start_token_id=0, **sizes, **keys)
    network = transformers.T5ForConditionalGeneration(config)
    network.save_pretrained(folder)
    return network


def test_t5s_own_vocabulary_is_that_of_a_model(kind, t5):
    tokenizer = kind.tokenizer(section(tokenizer={"path": str(t5)}), ())
    model = kind.build(section(config={**SMALL, "model_type": "t5"}), tokenizer)
    assert model.special_tokens == (0, 0, 1) and not model.search_rules.forced_eos
    assert len(model.output_embedding) == len(tokenizer) == tokenizer.token_to_id("<vis_extra_id_0>") + 1


@pytest.mark.parametrize("tied", [True, False])
def test_a_t5_of_hugging_face_is_a_start_with_features_of_any_width(kind, t5, tied):
    network = write_network(t5, tie_word_embeddings=tied)
    assert kind.is_start(t5)
    wanted = ModelSection(type="vl", path=str(t5), config={"feat_dim": 6, "dropout": 0.0})
    tokenizer = kind.tokenizer(wanted, ())
    model = kind.build(wanted, tokenizer).eval()
    rows = network.config.vocab_size
    assert model.config.feat_dim == 6 and model.config.dropout == 0
    assert len(model.output_embedding) == len(tokenizer) == model.config.region_rows > rows
    assert torch.equal(model.shared.weight[:rows], network.shared.weight)
    ids = torch.tensor([[*tokenizer.encode("a wild dog"), 1]])
    with torch.no_grad():
        theirs = network.eval()(input_ids=ids, labels=ids).logits
        assert torch.allclose(model(input_ids=ids, labels=ids).logits[..., :rows], theirs, atol=1e-5)


def test_a_model_of_a_start_is_read_back_and_no_start(kind, t5, tmp_path):
    write_network(t5)
    wanted = ModelSection(type="vl", path=str(t5), config={"feat_dim": 6})
    tokenizer = kind.tokenizer(wanted, ())
    tokenizer.add_tokens(["<style:wild>"])
    model = kind.build(wanted, tokenizer).eval()
    kind.save(model, tokenizer, tmp_path / "saved")
    again, read = kind.load(tmp_path / "saved")
    assert not kind.is_start(tmp_path / "saved")
    assert read.first_difference(tokenizer) is None and again.config == model.config
    assert read.token_to_id("<style:wild>") == len(read) - 1 == again.config.region_rows
    inputs = {"input_ids": torch.tensor([[5, 1]]), "vis_feats": torch.rand(1, 3, 6), "labels": torch.tensor([[7, 1]])}
    with torch.no_grad():
        assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_a_start_is_read_as_a_model_too(kind, t5):
    write_network(t5)
    model, tokenizer = kind.load(t5)
    assert len(model.output_embedding) == len(tokenizer) == model.config.region_rows


def test_a_start_of_another_family_is_refused(kind, t5):
    write_network(t5)
    wanted = ModelSection(type="vl", path=str(t5), config={"model_type": "bart"})
    with pytest.raises(UsageError, match="model_type is 'bart', but .* is a t5"):
        kind.build(wanted, kind.tokenizer(wanted, ()))

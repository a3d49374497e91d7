"""Directories of sentence-transformers, newer and older."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from ofakit.data.passage import Passage
from ofakit.errors import UsageError
from ofakit.hub import load_retriever
from ofakit.inference.embedder import Embedder
from ofakit.models.encoders._sentence_transformers import is_sentence_transformer, read_modules

peer = pytest.importorskip("sentence_transformers")
TEXTS = ["a dog runs on the grass", "zebra", "", "the cat sleeps , and two big red birds sing"]


@pytest.fixture
def folder(shared, tmp_path):
    """A copy of the golden directory, to be changed."""
    copied = tmp_path / "tiny"
    shutil.copytree(shared / "golden" / "retrieval" / "tiny_bert" / "sentence_transformer", copied)
    return copied


def vectors(folder, side="passage"):
    passages = [Passage(str(i), text) for i, text in enumerate(TEXTS)]
    return Embedder(load_retriever(folder), side).embed(passages)


def assert_equal_to_the_peer(folder, **keys):
    found = peer.SentenceTransformer(str(folder), device="cpu").encode(TEXTS, **keys)
    torch.testing.assert_close(torch.tensor(vectors(folder)), torch.tensor(found), atol=1e-5, rtol=1e-5)


def add_module(folder, name, kind):
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    kind = f"sentence_transformers.models.{kind}"
    row = {"idx": len(modules), "name": str(len(modules)), "path": name, "type": kind}
    path.write_text(json.dumps([*modules, row]))


def test_the_golden_directory(folder):
    assert is_sentence_transformer(folder) and not is_sentence_transformer(folder / "1_Pooling")
    found = read_modules(folder)
    assert found.settings == {"pooling": "mean", "normalize": True, "max_length": 64}
    assert_equal_to_the_peer(folder)


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken", "mean_sqrt_len_tokens"])
def test_every_pooling(folder, mode):
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pooling_mode": mode}))
    assert_equal_to_the_peer(folder)


def test_older_directories_spell_pooling_and_length_differently(folder):
    older = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(older))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4, "do_lower_case": False}))
    assert read_modules(folder).settings == {"pooling": "first", "normalize": True, "max_length": 4}
    assert_equal_to_the_peer(folder)


def test_linear_layers_come_with_their_activations(folder):
    from sentence_transformers.sentence_transformer.modules import Dense

    torch.manual_seed(0)
    for name, width, activation in (("3_Dense", 24, torch.nn.Tanh()), ("4_Dense", 16, torch.nn.Identity())):
        (folder / name).mkdir()
        Dense({"3_Dense": 32, "4_Dense": 24}[name], width, activation_function=activation).save(str(folder / name))
        add_module(folder, name, "Dense")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0], modules[1], modules[3], modules[4], modules[2]]))
    assert [layer.width for layer in read_modules(folder).settings["projection"]] == [24, 16]
    assert_equal_to_the_peer(folder)


def test_prompts_stand_in_front_of_the_texts_of_their_side(folder):
    path = folder / "config_sentence_transformers.json"
    prompts = {"query": "which animal ", "document": "the cat "}
    path.write_text(json.dumps({**json.loads(path.read_text()), "prompts": prompts}))
    model = peer.SentenceTransformer(str(folder), device="cpu")
    texts = [text for text in TEXTS if text]
    for side, theirs in (("query", model.encode_query(texts)), ("passage", model.encode_document(texts))):
        passages = [Passage(str(i), text) for i, text in enumerate(texts)]
        ours = Embedder(load_retriever(folder), side).embed(passages)
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), atol=1e-5, rtol=1e-5)


def test_what_is_not_known_is_refused_with_the_file(folder):
    add_module(folder, "3_LSTM", "LSTM")
    with pytest.raises(UsageError, match="modules.json has a module that ofakit does not support: .*LSTM"):
        load_retriever(folder)
    (folder / "modules.json").write_text(json.dumps(json.loads((folder / "modules.json").read_text())[:-1]))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "weightedmean"}))
    with pytest.raises(UsageError, match=r"1_Pooling/config.json: expected one pooling of .*found \['weightedmean'\]"):
        load_retriever(folder)

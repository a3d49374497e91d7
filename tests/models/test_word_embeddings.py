"""Rows of words that start from a text encoder's."""

from __future__ import annotations

import pytest
import torch
from ofakit.config import parse_config
from ofakit.errors import UsageError
from ofakit.models.word_embeddings import fitted_rows, shared_pieces, start_word_embeddings, style_pieces
from ofakit.tasks.captioning import Captioning
from ofakit.text.styles import StyleSet
from ofakit.text.training import train_tokenizer
from transformers import BertConfig, BertModel, BertTokenizerFast

from tests.models.ofa.small import build

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "dog",
    "cat",
    "sea",
    "calm",
    "wild",
    "##s",
    "##ing",
    "humor",
    "##ous",
]
TEXTS = [" a calm dog by the sea", " a wild cat sees dogs running", " swimming in the sea"] * 8


@pytest.fixture
def encoder(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    torch.manual_seed(0)
    sizes = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(WORDS), **sizes)).save_pretrained(tmp_path)
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def tokenizer():
    return train_tokenizer(TEXTS, 330, num_codes=4, num_bins=0)


def model_for(tokenizer, **keys):
    return build(vocab_size=len(tokenizer), d_model=32, **keys)


def test_pieces_are_shared_where_they_stand_alike_in_words(encoder, tokenizer):
    theirs = BertTokenizerFast.from_pretrained(encoder)
    found = {tokenizer.id_to_token(token): WORDS[piece] for token, piece in shared_pieces(tokenizer, theirs).items()}
    assert found["Ġsea"] == "sea" and found["Ġdog"] == "dog" and found["s"] == "##s"
    assert "Ġs" not in found and "sea" not in found and not any(piece.startswith("[") for piece in found.values())


def test_shared_rows_stand_to_each_other_as_the_encoders_do_and_others_stay(encoder, tokenizer):
    theirs = BertTokenizerFast.from_pretrained(encoder)
    shared = shared_pieces(tokenizer, theirs)
    model, before = model_for(tokenizer), model_for(tokenizer).output_embedding.detach().clone()
    assert start_word_embeddings(model, tokenizer, str(encoder)) == len(shared)
    after = model.output_embedding.detach()
    ours, others = list(shared), [token for token in range(len(tokenizer)) if token not in shared]
    assert torch.equal(after[others], before[others]) and not torch.equal(after[ours], before[ours])
    table = BertModel.from_pretrained(encoder).get_input_embeddings().weight.detach()
    found, expected = (torch.pdist(rows) for rows in (after[ours], table[[shared[token] for token in ours]]))
    torch.testing.assert_close(found / found.mean(), expected / expected.mean(), rtol=1e-3, atol=1e-3)
    assert after[ours].square().mean() == pytest.approx(float(before[ours].square().mean()), rel=1e-4)


def test_a_model_whose_output_embedding_is_apart_starts_both(encoder, tokenizer):
    model = model_for(tokenizer, share_decoder_input_output_embed=False)
    start_word_embeddings(model, tokenizer, str(encoder))
    token = tokenizer.token_to_id("Ġsea")
    rows = [weight.detach()[token] for weight in model.token_embeddings()]
    assert len(rows) == 2 and torch.nn.functional.cosine_similarity(*rows, dim=0) > 0.99


@pytest.mark.parametrize("mode", ["code", "new"])
def test_a_styles_token_starts_from_its_name(encoder, tokenizer, mode):
    theirs = BertTokenizerFast.from_pretrained(encoder)
    styles = StyleSet(["wild", "humorous", "xyz"], mode)
    styles.prepare(tokenizer)
    tokens = [tokenizer.token_to_id(styles.text(name)) for name in styles.names]
    pieces = style_pieces(styles, tokenizer, theirs)
    assert pieces == {tokens[0]: [9], tokens[1]: [12, 13]}  # of the third no piece is known
    model = model_for(tokenizer)
    start_word_embeddings(model, tokenizer, str(encoder), styles)
    rows = model.output_embedding.detach()
    torch.testing.assert_close(rows[tokens[0]], rows[tokenizer.token_to_id("Ġwild")])
    assert style_pieces(StyleSet(["wild"], "plain"), tokenizer, theirs) == {}


@pytest.mark.parametrize("width", [4, 12])
def test_rows_of_any_width_keep_what_tells_them_apart(width):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 8, generator=generator) * torch.tensor([9.0, 6, 5, 4, *[0.1] * 4]) + 3
    like = torch.randn(40, width, generator=generator) * 0.1
    fitted = fitted_rows(rows, like)
    assert fitted.shape == like.shape and fitted.mean(0).abs().max() < 1e-6
    distances, expected = torch.pdist(fitted), torch.pdist(rows)
    torch.testing.assert_close(distances / distances.mean(), expected / expected.mean(), rtol=0.02, atol=0.02)
    spread = fitted.std(0)
    assert spread.max() < 4 * spread.min()


def test_what_shares_nothing_or_is_nowhere_is_refused(encoder, tokenizer):
    with pytest.raises(UsageError, match="no model directory ./nowhere"):
        start_word_embeddings(model_for(tokenizer), tokenizer, "./nowhere")
    other = train_tokenizer([" völlig anders"] * 3, 300, num_codes=1, num_bins=0)
    (encoder / "vocab.txt").write_text("\n".join([*WORDS[:5], *(f"word{i}" for i in range(9))]))
    BertTokenizerFast(str(encoder / "vocab.txt")).save_pretrained(encoder)
    with pytest.raises(UsageError, match="has only 0 pieces in common with the model's"):
        start_word_embeddings(model_for(other), other, str(encoder))


def test_a_captioner_from_a_configuration_starts_with_them(encoder, tmp_path):
    scenes = {"type": "scenes", "images": 2, "val": 1, "test": 1, "size": 32, "root": str(tmp_path / "scenes")}
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "resnet_type": "resnet18"}
    model = {"tokenizer": {"train_vocab_size": 300, "num_codes": 20, "num_bins": 0}, "config": sizes}
    found = []
    for words in (None, str(encoder)):
        values = {"data": {"reader": scenes}, "model": {**model, "word_embeddings": words}}
        task = Captioning(parse_config({**values, "style": {"names": ["wild", "calm"]}}))
        task.read({})
        torch.manual_seed(0)
        found.append(task.build_bundle())
    plain, started = (bundle.model.output_embedding.detach() for bundle in found)
    changed = {found[0].tokenizer.id_to_token(i) for i in range(len(plain)) if not torch.equal(plain[i], started[i])}
    assert {"<code_0>", "<code_1>"} <= changed and len(changed) < 20 and "<code_2>" not in changed


def test_words_of_a_real_encoder_are_near_those_of_like_meaning(pretrained):
    tokenizer = train_tokenizer([" a dog and a puppy and a car and a truck"] * 9, 300, num_codes=1, num_bins=0)
    model = model_for(tokenizer)
    start_word_embeddings(model, tokenizer, str(pretrained / "all-MiniLM-L6-v2"))
    dog, puppy, car = (model.output_embedding[tokenizer.token_to_id(f"Ġ{word}")] for word in ("dog", "puppy", "car"))
    near, far = (torch.nn.functional.cosine_similarity(dog, other, dim=0) for other in (puppy, car))
    assert near > far

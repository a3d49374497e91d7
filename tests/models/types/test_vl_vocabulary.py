"""Behind T5's and BART's vocabularies stand the names of spans and regions, in VL-T5's order."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.types._vl_vocabulary import name_regions, read_vocabulary, sentinel_tokens, with_sentinels
from ofakit.text import train_tokenizer

from tests.models.vl.small import inputs, tiny
from tests.text.small_t5 import TEXTS, write_t5_vocabulary


def test_t5_has_its_spans_and_gets_names_of_regions(tmp_path):
    """32,000 pieces and 100 spans become 32,200 tokens: `<extra_id_i>` 32099 - i, `<vis_extra_id_i>` 32199 - i."""
    tokenizer = read_vocabulary(write_t5_vocabulary(tmp_path))
    size = len(tokenizer)
    for number in (0, 7, 99):
        assert tokenizer.token_to_id(f"<extra_id_{number}>") == size - 101 - number
        assert tokenizer.token_to_id(f"<vis_extra_id_{number}>") == size - 1 - number
    tokenizer.save_pretrained(tmp_path / "saved")
    assert len(read_vocabulary(tmp_path / "saved")) == size


def test_bart_gets_both(tmp_path):
    own = train_tokenizer(TEXTS, 290, num_codes=1, num_bins=0)
    own.save_pretrained(tmp_path)
    (tmp_path / "added_tokens.json").unlink()
    base = len(own) - 1
    tokenizer = read_vocabulary(tmp_path)
    assert [tokenizer.token_to_id(token) for token in sentinel_tokens()] == list(range(base, base + 200))


def test_names_are_given_once():
    tokenizer = with_sentinels(train_tokenizer(TEXTS, 290, num_codes=1, num_bins=0))
    assert len(with_sentinels(tokenizer)) == len(tokenizer)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_the_place_of_a_region_is_the_row_of_its_name(tmp_path, family):
    tokenizer, model = read_vocabulary(write_t5_vocabulary(tmp_path)), tiny(family)
    model.resize_token_embeddings(len(tokenizer) - 150)
    name_regions(model, tokenizer)
    assert len(model.output_embedding) == len(tokenizer) == model.config.region_rows
    model.resize_token_embeddings(len(tokenizer) + 4)
    seen = model.encoder.visual_embedding
    before = seen(inputs()["vis_feats"])
    with torch.no_grad():
        model.shared.weight[tokenizer.token_to_id("<vis_extra_id_2>")] += 1
    changed = (seen(inputs()["vis_feats"]) != before).flatten(2).any(-1)[0]
    assert changed.tolist() == [False, False, True, False, False]

"""Tokens that a vocabulary lacks are added to it once."""

from __future__ import annotations

from ofakit.objectives._sentinels import sentinel_ids


def test_tokens_get_ids_and_rows_once(bundle):
    before, rows = len(bundle.tokenizer), bundle.model.output_embedding[:5].clone()
    first = sentinel_ids(bundle, ["<one>", "<mask>", "<two>"])
    assert first == [before, bundle.tokenizer.mask_token_id, before + 1]
    assert sentinel_ids(bundle, ["<two>", "<one>"]) == [before + 1, before]
    assert len(bundle.model.output_embedding) == before + 2
    assert (bundle.model.output_embedding[:5] == rows).all()

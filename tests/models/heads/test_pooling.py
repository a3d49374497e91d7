"""Pooling: golden values of sentence-transformers, and padding that changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.heads.pooling import pool, pooled_width

NAMES = {"mean": "mean", "first": "cls", "max": "max", "last": "lasttoken", "mean_sqrt": "mean_sqrt_len_tokens"}
EVERY = [*((name, 1) for name in NAMES), ("sum", 2), ("concat", 3)]


def states(layers=3, n=4, length=6, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(length) < torch.tensor([6, 3, 1, 4])[:n, None]
    return [torch.randn(n, length, width, generator=generator) for _ in range(layers)], mask


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_sentence_transformers(name, shared):
    golden = np.load(shared / "golden" / "retrieval" / "tiny_bert" / "outputs.npz")
    hidden = [torch.from_numpy(layer) for layer in golden["hidden_states"]]
    found = pool(hidden, torch.from_numpy(golden["attention_mask"]), name)
    np.testing.assert_allclose(found, golden[NAMES[name]], atol=1e-6)


@pytest.mark.parametrize(("name", "layers"), EVERY)
def test_padding_changes_nothing_whatever_it_holds(name, layers):
    hidden, mask = states()
    wider = [torch.cat([layer, torch.full((4, 2, 5), torch.nan)], 1) for layer in hidden]
    for layer in wider:
        layer[:, :6][~mask] = torch.nan
    more = torch.cat([mask, torch.zeros(4, 2, dtype=torch.bool)], 1)
    torch.testing.assert_close(pool(wider, more, name, layers), pool(hidden, mask, name, layers))


@pytest.mark.parametrize(("name", "layers"), EVERY)
def test_a_text_alone_gets_the_vector_it_has_in_a_batch(name, layers):
    hidden, mask = states()
    alone = pool([layer[1:2, :3] for layer in hidden], mask[1:2, :3], name, layers)
    torch.testing.assert_close(alone[0], pool(hidden, mask, name, layers)[1])


def test_several_layers_are_added_or_put_behind_each_other():
    hidden, mask = states()
    last, before = (pool([layer], mask, "mean") for layer in (hidden[2], hidden[1]))
    torch.testing.assert_close(pool(hidden, mask, "sum", 2), last + before)
    torch.testing.assert_close(pool(hidden, mask, "concat", 2), torch.cat([before, last], 1))
    assert pooled_width(5, "concat", 2) == 10 and pooled_width(5, "sum", 2) == 5


def test_a_sequence_without_a_token_gives_zeros():
    hidden, mask = states()
    mask[1] = False
    for name in ("mean", "mean_sqrt", "max"):
        assert pool(hidden, mask, name)[1].tolist() == [0] * 5


def test_what_there_is_not_is_refused():
    hidden, mask = states()
    with pytest.raises(UsageError, match="unknown pooling 'men': did you mean 'mean'"):
        pool(hidden, mask, "men")
    with pytest.raises(UsageError, match="expected 1 to 3 layers to pool, found 4"):
        pool(hidden, mask, "sum", 4)

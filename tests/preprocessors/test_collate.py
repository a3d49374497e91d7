"""Batches are as docs/architecture.md says, and padding changes nothing."""

import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ofakit.errors import UsageError
from ofakit.preprocessors import Collate


def sample(source, target=None, index=None, size=4):
    made = {"input_ids": torch.tensor(source), "patch_mask": torch.tensor(bool(source[0]))}
    made["patch_image"] = torch.arange(3 * size * size, dtype=torch.uint8).view(3, size, size) + source[0]
    if target is not None:
        made |= {"target": torch.tensor(target), "decoder_input_ids": torch.tensor([0, *target[:-1]])}
    return made if index is None else {**made, "index": index}


def test_a_batch():
    batch = Collate(1)([sample([0, 5, 2], [7, 2], 4), sample([3, 2], [8, 9, 2], 1)])
    assert batch["input_ids"].tolist() == [[0, 5, 2], [3, 2, 1]]
    assert batch["target"].tolist() == [[7, 2, 1], [8, 9, 2]]
    assert batch["decoder_input_ids"].tolist() == [[0, 7, 1], [0, 8, 9]]
    assert batch["patch_masks"].tolist() == [False, True]
    assert batch["index"].tolist() == [4, 1]
    assert {batch[k].dtype for k in ("input_ids", "target", "decoder_input_ids", "index")} == {torch.int64}
    assert batch["patch_images"].dtype is torch.uint8
    assert torch.equal(batch["patch_images"][1], sample([3])["patch_image"])


def test_inference_has_neither_target_nor_index():
    assert set(Collate(1)([sample([0, 2])])) == {"input_ids", "patch_images", "patch_masks"}


@given(st.lists(st.lists(st.integers(2, 99), min_size=1, max_size=9), min_size=1, max_size=5))
def test_without_its_padding_every_text_is_unchanged(texts):
    batch = Collate(1)([sample(text, text) for text in texts])
    for row, text in zip(batch["input_ids"], texts, strict=True):
        assert row[row != 1].tolist() == text


def test_mixtures_and_nothing_are_refused():
    with pytest.raises(UsageError, match="mixture"):
        Collate(1)([sample([0, 2]), sample([0, 2], [2])])
    with pytest.raises(UsageError, match="found none"):
        Collate(1)([])


def test_picklable():
    assert pickle.loads(pickle.dumps(Collate(7))).pad_token_id == 7
